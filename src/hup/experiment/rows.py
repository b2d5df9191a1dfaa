"""The rows of the table: which models there are, what the paper calls them, and how each is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hup.config import Config, Section, preset_names
from hup.errors import HupError
from hup.models.counted.by_level import ByLevel, ByLevelConfig
from hup.models.hup.ablations import ABLATIONS, INGREDIENTS
from hup.recommender.base import Recommender
from hup.recommender.kinds import model_class
from hup.training.trained import TrainedRecommender

GROUPS = {
    "paper": "Baselines of the paper",
    "hup": "HUP",
    "variant": "Variants of HUP",
    "ingredient": "Best, without one ingredient each",
    "critic": "Rows that the paper lacks",
}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    name : str
    title : str
        As the paper prints it.
    group : str
        One of :data:`GROUPS`.
    kind : str
        Kind of the model (``hup.recommender.kinds``).
    overrides : tuple of str
        What makes the row, as ``key=value``.
    preset : str or None
        Of HUP: the preset to start from.
    """

    name: str
    title: str
    group: str
    kind: str
    overrides: tuple[str, ...] = ()
    preset: str | None = None

    def config(
        self, overrides: Iterable[str] = (), seed: int | None = None, last_interval: str | None = None
    ) -> Section:
        """Make the row's configuration.

        Parameters
        ----------
        overrides : iterable of str
            On top of the row's own.
        seed : int, optional
            Given to models that have one.
        last_interval : str, optional
            What trained models are shown of the last interval.
        """
        config = Config.preset(self.preset) if self.preset else model_class(self.kind).options()
        changes = [*self.overrides, *overrides]
        if seed is not None and (key := self.seed_key()):
            changes.append(f"{key}={seed}")
        if last_interval is not None and "sessions" in type(config).model_fields:
            changes.append(f"sessions.last_interval={last_interval}")
        return config.changed(changes)

    def config_by_level(self, settings: Mapping[str, Sequence[str]], seed: int | None = None) -> ByLevelConfig:
        """Make the configuration of a row that has a setting for every level.

        Parameters
        ----------
        settings : mapping of str to sequence of str
            By level, on top of the row's own overrides.
        seed : int, optional
            Given to models that have one.
        """
        key = self.seed_key()
        seeded = () if seed is None or key is None else (f"{key}={seed}",)
        changes = {level: (*self.overrides, *setting, *seeded) for level, setting in settings.items()}
        return ByLevelConfig(model=self.kind, settings=changes)

    def make(self, config: Section) -> Recommender:
        """Make the unfitted model."""
        kind = ByLevel if isinstance(config, ByLevelConfig) else model_class(self.kind)
        model = kind(config)
        model.name = self.name
        return model

    @property
    def trained(self) -> bool:
        """Whether the model is trained by epochs: then a setting is too dear to be tried on more than one fold."""
        return issubclass(model_class(self.kind), TrainedRecommender)

    @property
    def costly(self) -> bool:
        """Whether a fit is a long training."""
        return model_class(self.kind).costly

    @property
    def tuned_by_level(self) -> bool:
        """Whether every level gets the setting that is best for it."""
        return not self.trained and model_class(self.kind).levels_independent

    def seed_key(self) -> str | None:
        """Key of the seed; None for a model without a random part."""
        fields = model_class(self.kind).options.model_fields
        return "training.seed" if "training" in fields else "seed" if "seed" in fields else None

    def settings(self, budget: int) -> list[tuple[str, ...]]:
        """List the settings that tuning tries: the first ``budget`` of the model's own."""
        return list(model_class(self.kind).tuning[:budget])


_VARIANT_TITLES = {"nomicro": "NoMicro", "lstm": "LSTM", "tlstm": "TLSTM", "noatt": "NoAtt", "single": "Single"}
_PAPER = (
    Row("popularity", "POP", "paper", "popularity"),
    Row("bpr-mf", "BPR-MF", "paper", "bpr-mf"),
    Row("item-knn", "Item-KNN", "paper", "item-knn"),
    Row("word2vec", "Word2vec", "paper", "word2vec"),
    Row("word2vec-avg", "Word2vec-avg", "paper", "word2vec-avg"),
    Row("rib", "RIB", "paper", "rib"),
    Row("time-lstm", "Time-LSTM", "paper", "time-lstm"),
    Row("s-hrnn", "S-HRNN", "paper", "s-hrnn"),
)
_CRITICS = (
    Row("recency", "Recency", "critic", "recency"),
    Row("item-knn-damped", "Item-KNN, damped", "critic", "item-knn", ("damping=20.0", "itself=true")),
    Row("vsknn", "VSKNN", "critic", "vsknn"),
    Row("stan", "STAN", "critic", "stan"),
    Row("slist", "SLIST", "critic", "slist"),
    Row("vsknn+recency", "VSKNN + Recency", "critic", "vsknn+recency"),
    Row("stan+item-knn+recency", "STAN + Item-KNN + Recency", "critic", "stan+item-knn+recency"),
    Row("slist+recency", "SLIST + Recency", "critic", "slist+recency"),
    Row("lightgbm", "LightGBM lambdarank", "critic", "lightgbm"),
    Row("sasrec", "SASRec, cross-entropy", "critic", "sasrec"),
    Row("gru4rec", "GRU4Rec, cross-entropy", "critic", "gru4rec"),
    Row("gru4rec-bpr-max", "GRU4Rec, BPR-max", "critic", "gru4rec", ("network.loss='bpr_max'",)),
    Row("time-lstm-2", "Time-LSTM 2", "critic", "time-lstm", ("network.version=2",)),
    Row("time-lstm-3", "Time-LSTM 3", "critic", "time-lstm", ("network.version=3",)),
    Row("s-hrnn-all", "S-HRNN, all", "critic", "s-hrnn", ("network.mode='all'",)),
)


def all_rows(presets: Sequence[str] = ("paper", "best"), overrides: Sequence[str] = ()) -> list[Row]:
    """All rows there are, in the order of the table.

    Parameters
    ----------
    presets : sequence of str
        A row of HUP for each; the paper's variants are those of the first, and ``best`` has variants of its own.
    overrides : sequence of str
        On top of the presets, for HUP and its variants.

    Raises
    ------
    HupError
        For an unknown preset.
    """
    if unknown := sorted(set(presets) - set(preset_names())):
        raise HupError(f"There is no preset {unknown[0]!r}. Presets: {', '.join(preset_names())}.")
    if not presets:
        raise HupError("No preset is named; expected at least one, for example paper.")
    first, *others = presets
    extra = tuple(overrides)
    title = "HUP" if first == "paper" else f"HUP, {first}"
    rows = [*_PAPER, Row("hup", title, "hup", "hup", extra, first)]
    rows += [Row(f"hup-{name}", f"HUP, {name}", "hup", "hup", extra, name) for name in others]
    if first != "best":
        rows += [
            Row(f"hup-{name}", f"HUP-{_VARIANT_TITLES[name]}", "variant", "hup", (*changes, *extra), first)
            for name, changes in ABLATIONS.items()
        ]
    if "best" in presets:
        rows += [
            Row(f"best-{name}", f"Best, {name.replace('-', ' ')}", "ingredient", "hup", (*changes, *extra), "best")
            for name, changes in INGREDIENTS.items()
        ]
    return [*rows, *_CRITICS]


def chosen_rows(names: Sequence[str] | None, rows: Sequence[Row]) -> list[Row]:
    """Rows by name, in the order of the table; None = all but the ablations of ``best``.

    Raises
    ------
    HupError
        For a name that is not there.
    """
    if names is None:
        return [row for row in rows if row.group != "ingredient"]
    if unknown := [name for name in names if name not in {row.name for row in rows}]:
        raise HupError(f"There is no row {unknown[0]!r}. Rows: {', '.join(row.name for row in rows)}.")
    return [row for row in rows if row.name in names]
