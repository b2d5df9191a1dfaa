"""The default protocol: every session of a split, exact ranks at every level, recency and POP beside the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup import processes
from hup.data.dataset import Dataset, refuse_path
from hup.data.manifest import SplitBounds, SplitName
from hup.errors import HupError
from hup.evaluation.choice import Choice
from hup.evaluation.exposure import ExposureCount
from hup.evaluation.metrics import CATEGORY_CUTOFF, CONFIDENCE, ITEM_CUTOFF, RESAMPLES
from hup.evaluation.neighbors import NeighborLists
from hup.evaluation.result import Evaluation
from hup.evaluation.shares import joined
from hup.recommender.base import Recommender
from hup.recommender.candidates import excluded_codes, refuse_other_candidates, target_ranks, widened
from hup.recommender.lineage import is_of_earlier_state
from hup.recommender.popularity import Popularity
from hup.recommender.recency import Recency
from hup.sessions.batches import Histories, LastInterval, Targets, histories_and_targets
from hup.sessions.levels import ranked_levels

Candidates = Literal["full", "neighbors"]
EvaluationSplit = Literal["test", "validation"]

NEIGHBORS = 1_000
SCORE_BLOCK_BYTES = 256 * 2**20
_BASELINES: dict[str, type[Recommender]] = {"recency": Recency, "popularity": Popularity}


@runtime_checkable
class HasItemVectors(Protocol):
    """A model whose items have vectors; ``candidates="neighbors"`` needs one."""

    def item_vectors(self) -> Tensor:
        """Vectors of the known items, ``(n_known, d)``."""
        ...


def evaluate(
    model: Recommender,
    dataset: Dataset,
    *,
    split: EvaluationSplit = "test",
    candidates: Candidates = "full",
    last_interval: LastInterval = "mask",
    rows: Sequence[str] = ("recency", "popularity"),
    batch_size: int = 256,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    most_sessions: int | None = None,
    vectors: Tensor | None = None,
    at: Sequence[int] = (),
    metrics: Sequence[str] | None = None,
) -> Evaluation:
    """Rank the target of every session of a split at every level, exactly.

    The target is the item of the session's last item run, and its categories; the history is everything before.
    Candidates of the item level are all items of the training split plus the session's own, minus the one the user is
    on; of a category level all categories of the training split plus the session's own. Every session counts: a target
    that is no candidate is a miss. Ties count against the model. "No category" is no category: it is no candidate, and
    a session whose target item has none does not count at the category levels.

    Parameters
    ----------
    model : Recommender
        Fitted on this dataset's training split, or on that of a dataset that this one was appended to. Such a model
        ranks all candidates, too; those that it does not know and that the session has not visited come last, as it
        has no way to recommend them.
    dataset : Dataset
    split : {"test", "validation"}
        Whose sessions to rank.
    candidates : {"full", "neighbors"}
        ``"neighbors"`` keeps, of the known items, the union of the 1,000 nearest to each browsed item, itself among
        them, by cosine of the *model's* item vectors; every row ranks the same candidates. The session's own unknown
        items stay.
    last_interval : {"mask", "keep"}
        ``"mask"`` hides the last event's interval, which is the time to the target.
    rows : sequence of str
        Rows to stand beside the model: ``"recency"``, ``"popularity"``. They are fitted here, on the training split.
    batch_size : int
        Most sessions scored at once. Fewer are where their scores would take more than 256 MiB.
    seed : int
        Seed of the bootstrap.
    progress : callable, optional
        Called with the number of sessions done since its last call.
    most_sessions : int, optional
        Rank at most so many sessions, evenly spaced over the split: for choosing an epoch, not for a table.
    vectors : Tensor, optional
        ``(n_known, d)``, vectors of the known items whose neighbours are the candidates, instead of the model's own: so
        that several models rank the same ones.
    at : sequence of int
        Further lengths of the list, 1 to 1,000, at which metrics are given. Recall and MRR at 20 for items and at 5 for
        categories are given always, and first.
    metrics : sequence of str, optional
        What is given at all these lengths: ``"recall"``, ``"mrr"``, ``"ndcg"``, and of the lists as a whole
        ``"coverage"``, ``"gini"``, ``"novelty"``, ``"popularity_bias"`` (:class:`hup.evaluation.exposure.Exposure`).
        Default Recall and MRR. With one target a session ``"hit_rate"`` is Recall and ``"map"`` is MRR.

    Returns
    -------
    Evaluation

    Raises
    ------
    HupError
        The split is empty; the model's vocabulary is not the dataset's; the model has learned from sessions of the
        split; a score is NaN; ``"neighbors"`` is asked of a model without item vectors; there is no such metric or
        cut-off.
    """
    choice = Choice.of(metrics, at)
    for value, choices in ((split, EvaluationSplit), (candidates, Candidates), (last_interval, LastInterval)):
        if value not in get_args(choices):
            raise HupError(f"There is no choice {value!r} here; expected {' or '.join(get_args(choices))}.")
    refuse_path(dataset)
    if not isinstance(model, Recommender):
        raise HupError(f"The model is {model!r:.200}, expected what hup.load(folder) gives.")
    sessions = np.asarray(dataset.sessions(split), dtype=np.int64)
    if not len(sessions):
        raise HupError(
            f"{dataset.path} has no {split} sessions: nothing to evaluate. Prepare it from more sessions, or with "
            f"other --shares."
        )
    if most_sessions is not None and most_sessions < len(sessions):
        sessions = sessions[np.arange(most_sessions) * len(sessions) // most_sessions]
    earlier = is_of_earlier_state(model, dataset)
    if earlier:
        refuse_seen_sessions(model, dataset, split)
    recommenders = {model.name: model} | {row: _baseline(row).fit(dataset) for row in rows if row != model.name}
    sizes = vocabulary_sizes(dataset)
    neighbors = _neighbor_lists(model, dataset, sessions, earlier, vectors) if candidates == "neighbors" else None

    ranks = {row: {level: np.full(len(sessions), np.nan) for level in sizes} for row in recommenders}
    repeat = {level: np.zeros(len(sessions), dtype=bool) for level in sizes}
    lists = _list_counts(dataset, sizes, list(recommenders), choice)
    batch_size = max(1, min(batch_size, SCORE_BLOCK_BYTES // (8 * max(sizes.values()))))
    # Sessions of like length together: a model that pads wastes little, and only a few batches are wide.
    by_length = np.argsort(np.diff(dataset.offsets)[sessions], kind="stable")
    # Of several processes each ranks whole batches, so that scores are those of one to the last bit.
    starts = processes.share(range(0, len(sessions), batch_size))
    for start in starts:
        place = by_length[start : start + batch_size]
        histories, targets = histories_and_targets(dataset, sessions[place], last_interval)
        if len(histories) != len(place):
            raise HupError(f"{dataset.path} has {split} sessions without a target. Make it again with `hup prepare`.")
        with torch.no_grad():
            answers = {row: recommender.scores(histories) for row, recommender in recommenders.items()}
        for level, size in sizes.items():
            judged = targets.wanted(level, dataset.taxonomy.no_category)
            counts = judged.numpy()
            repeat[level][place] = _is_repeat(histories, targets, level) & counts
            excluded = excluded_codes(histories, level, dataset.taxonomy.no_category)
            if level in lists:
                lists[level].take(targets.codes(level)[judged].numpy())
            allowed = _browsed_neighbors(neighbors, histories, size) if neighbors and level == "item" else None
            for row, recommender in recommenders.items():
                with torch.no_grad():
                    scores = answers[row][level]
                if earlier and recommender is model:
                    refuse_other_candidates(scores, histories, level, min(scores.of_known.shape[1], size), row)
                    scores = widened(scores, size)
                refuse_other_candidates(scores, histories, level, size, row)
                target_rank = target_ranks(
                    scores, targets.codes(level), excluded=excluded, candidates=allowed, name=row
                )
                ranks[row][level][place] = np.where(counts, target_rank, np.nan)
                if level in lists:
                    lists[level].add(row, scores, excluded, allowed, judged)
        if progress is not None:
            progress(len(place))
    if processes.size() > 1:
        mine = np.zeros(len(sessions), dtype=bool)
        mine[np.concatenate([by_length[start : start + batch_size] for start in starts] or [by_length[:0]])] = True
        joined(mine, ranks, repeat, lists)
    return Evaluation(
        dataset=dataset.fingerprint,
        protocol=_protocol(dataset, split, candidates, last_interval, seed)
        | {"trained_on": getattr(model, "dataset_fingerprint", None) if earlier else dataset.fingerprint},
        sessions=sessions,
        session_names=dataset.session_names.take(pa.array(sessions)).to_pylist(),
        ranks=ranks,
        repeat=repeat,
        seed=seed,
        choice=choice,
        exposure={row: {level: counted.exposure(row) for level, counted in lists.items()} for row in ranks}
        if lists
        else {},
    )


def refuse_seen_sessions(model: Recommender, dataset: Dataset, split: SplitName) -> None:
    """Check that a model of an earlier state of the dataset learned nothing from the sessions of a split.

    Sessions keep their places when others are appended. Learned from is the training split of the earlier state and,
    where the test split is asked for, its validation split too, as the epoch was chosen by it.

    Raises
    ------
    HupError
        If the model did learn from some of them, or does not say from which sessions it learned.
    """
    learned: SplitBounds | None = getattr(model, "dataset_bounds", None)
    if learned is None:
        raise HupError(
            f"{model.name} does not say which sessions it was trained on; it could have seen some that it would be "
            f"judged by in {dataset.path}. Train it again."
        )
    used = [learned.train, learned.validation] if split == "test" else [learned.train]
    asked = dataset.sessions(split)
    for first, end in used:
        if max(first, asked.start) < min(end, asked.stop):
            raise HupError(
                f"{model.name} has learned from sessions that are in the {split} split of {dataset.path}: the two "
                f"were divided differently. Train on this dataset."
            )


def vocabulary_sizes(dataset: Dataset) -> dict[str, int]:
    """Size of the training vocabulary of each level: ``"item"``, then ``"category_K"`` … ``"category_1"``."""
    return {
        level: level.pick(dataset.n_train_items, dataset.n_train_categories) for level in ranked_levels(dataset.levels)
    }


def _list_counts(
    dataset: Dataset, levels: Iterable[str], rows: Sequence[str], choice: Choice
) -> dict[str, ExposureCount]:
    """Get ready to count lists at every level; nothing where ranks alone are asked for."""
    if not choice.needs_lists:
        return {}
    return {level: ExposureCount(dataset, level, rows, choice.cutoffs(level)) for level in levels}


def _baseline(row: str) -> Recommender:
    if row not in _BASELINES:
        raise HupError(f"There is no row {row!r} to stand beside a model; expected any of {', '.join(_BASELINES)}.")
    return _BASELINES[row]()


def _protocol(dataset: Dataset, split: str, candidates: str, last_interval: str, seed: int) -> dict[str, Any]:
    division = dataset.manifest.split
    return {
        "split": split,
        "split_method": division.method,
        "split_shares": list(division.shares),
        "split_seed": division.seed,
        "candidates": candidates,
        "neighbors": NEIGHBORS if candidates == "neighbors" else None,
        "current_item": "excluded",
        "no_category": "excluded",
        "ties": "against",
        "last_interval": last_interval,
        "cutoff_item": ITEM_CUTOFF,
        "cutoff_category": CATEGORY_CUTOFF,
        "bootstrap_resamples": RESAMPLES,
        "bootstrap_confidence": CONFIDENCE,
        "seed": seed,
    }


def _neighbor_lists(
    model: Recommender, dataset: Dataset, sessions: NDArray[np.int64], earlier: bool, vectors: Tensor | None
) -> NeighborLists:
    if vectors is None:
        if not isinstance(model, HasItemVectors):
            raise HupError(
                f"{model.name} has no item vectors, so it has no neighbours to retrieve. Evaluate it with full "
                f"candidates."
            )
        vectors = model.item_vectors().detach().cpu()
    if len(vectors) != dataset.n_train_items and not (earlier and len(vectors) < dataset.n_train_items):
        raise HupError(
            f"{model.name} has vectors of {len(vectors)} items, the dataset's training split has "
            f"{dataset.n_train_items}. Evaluate it on the dataset that it was trained on."
        )
    if not bool(vectors.isfinite().all()):
        raise HupError(f"{model.name} has item vectors that are not finite numbers. Train it again.")
    # The targets' events are in this range, too; their lists are simply never asked for.
    browsed = dataset.item[dataset.offsets[sessions[0]] : dataset.offsets[sessions[-1] + 1]]
    return NeighborLists(vectors, torch.from_numpy(np.unique(browsed).astype(np.int64)), NEIGHBORS)


def _browsed_neighbors(neighbors: NeighborLists, histories: Histories, size: int) -> Tensor:
    """Mark the neighbours of what each session browsed, ``(B, size)``; what the model does not know stays."""
    known = neighbors.union(histories.session(), histories.item, len(histories))
    allowed = torch.nn.functional.pad(known, (0, size - known.shape[1]))
    new = (histories.item >= known.shape[1]) & (histories.item < size)
    allowed[histories.session()[new], histories.item[new]] = True
    return allowed


def _is_repeat(histories: Histories, targets: Targets, level: str) -> NDArray[np.bool_]:
    target = np.repeat(targets.codes(level).numpy(), np.diff(histories.offsets.numpy()))
    hit = (histories.codes(level).numpy() == target) & (target >= 0)
    return np.logical_or.reduceat(hit, histories.offsets[:-1].numpy())
