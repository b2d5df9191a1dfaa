"""Boosted trees by LightGBM: fitted on groups of candidates, and kept as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.models.boosted.groups import Groups, weights
from hup.models.boosted.options import LightGBMConfig

if TYPE_CHECKING:
    import lightgbm

#: Most of what there is to learn from that decides how many trees there are, before it is learned from.
LATE_SHARE = 2 / 7


class Ranker:
    """The trees of one level.

    Parameters
    ----------
    text : str
        As LightGBM writes a model.
    """

    def __init__(self, text: str) -> None:
        import lightgbm

        self._text = text
        self._trees = lightgbm.Booster(model_str=text)

    @classmethod
    def of(cls, train: Sequence[Groups], validation: Sequence[Groups], config: LightGBMConfig, cutoff: int) -> Self:
        """Grow trees.

        How many there are is decided by NDCG over all candidates on the validation sessions and, where these are few,
        on the latest training sessions, by trees that have not learned from them. Then all is learned from, the
        validation sessions among it, as the learned order of ``best`` does.

        Parameters
        ----------
        train : sequence of Groups
            The newest first; at least one.
        validation : sequence of Groups
        config : LightGBMConfig
        cutoff : int
            Length of the list that is judged.
        """
        late = _late(train, validation, config.enough_sessions)
        judges = [*validation, *train[:late]]
        if not config.patience or not judges:
            return cls(_grown(train, [], config, cutoff, config.trees))
        chosen = cls(_grown(train[late:], judges, config, cutoff, config.trees))
        return cls(_grown([*validation, *train], [], config, cutoff, chosen.n_trees))

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return int(self._trees.num_trees())

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score candidates by their features ``(C, F)``; higher is better."""
        if not len(features):
            return np.zeros(0)
        return np.asarray(self._trees.predict(features, num_threads=torch.get_num_threads()), dtype=np.float64)

    def tensor(self) -> Tensor:
        """Give the text as bytes."""
        return torch.from_numpy(np.frombuffer(self._text.encode(), dtype=np.uint8).copy())

    @classmethod
    def restored(cls, tensor: Tensor) -> Self:
        """Take up what :meth:`tensor` gave."""
        return cls(tensor.numpy().tobytes().decode())


def _late(train: Sequence[Groups], validation: Sequence[Groups], enough: int) -> int:
    """Count the groups of training that decide, too, how many trees there are."""
    missing = enough - sum(int(part.is_end.sum()) for part in validation)
    late = np.cumsum([0, *(int(part.is_end.sum()) for part in train)])
    return min(int(np.searchsorted(late, missing)), int(len(train) * LATE_SHARE) or len(train) - 1)


def _grown(train: Sequence[Groups], judges: Sequence[Groups], config: LightGBMConfig, cutoff: int, trees: int) -> str:
    """Grow trees, at most so many; as many as the judges find best, where there are judges."""
    import lightgbm

    settings: dict[str, Any] = {
        "objective": config.objective,
        "metric": "ndcg",
        "eval_at": [config.candidates],
        "lambdarank_truncation_level": cutoff + 5,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_data_in_leaf,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.lambda_l2,
        "extra_trees": config.extra_trees,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "num_threads": torch.get_num_threads(),
        "verbosity": -1,
    }
    told = _dataset(train, config, settings)
    asked = [_dataset(judges, config, settings, told)] if judges else []
    stop: list[Callable[..., Any]] = [lightgbm.early_stopping(config.patience, verbose=False)] if judges else []
    grown = lightgbm.train(settings, told, trees, valid_sets=asked, callbacks=stop)
    return grown.model_to_string(num_iteration=grown.best_iteration if judges else -1)


def _dataset(
    groups: Sequence[Groups], config: LightGBMConfig, settings: dict[str, Any], like: lightgbm.Dataset | None = None
) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        [part.features for part in groups],
        label=np.concatenate([part.is_next for part in groups]),
        group=np.concatenate([part.sizes for part in groups]),
        weight=weights(groups, config.prefix_share),
        feature_name=groups[0].names,
        reference=like,
        params=settings,
    )
