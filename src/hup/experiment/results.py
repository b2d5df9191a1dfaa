"""What a finished grid says: figures of every row, their cost, and how rows differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hup.evaluation.choice import DEFAULT, Choice
from hup.evaluation.frame import data_frame
from hup.evaluation.overview import Overview
from hup.files import write_aside

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: Final = (
    *("row", "title", "group", "level", "part", "metric", "k", "value", "low", "high", "sessions", "seeds"),
)


@dataclass(frozen=True)
class Metric:
    """One figure, a share in [0, 1].

    Attributes
    ----------
    value : float or None
        Mean over sessions and seeds; None where no session counts.
    interval : tuple of float or None
        95 % bootstrap interval over sessions, of the mean over seeds.
    by_seed : tuple of float
        Mean over sessions for each seed.
    """

    value: float | None
    interval: tuple[float, float] | None
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class PartResult:
    """The sessions whose target was (*repeat*) or was not (*explore*) in their history: how many, and the figures."""

    sessions: int
    recall: float | None
    mrr: float | None


@dataclass(frozen=True)
class LevelResult:
    """Figures of one row at one level.

    Attributes
    ----------
    level : str
    k : int
        Length of the list: 20 for items, 5 for categories.
    sessions : int
    ceiling : float or None
        Share of the sessions whose target is a candidate.
    recall, mrr : Metric
        At ``k``.
    repeat, explore : PartResult
        At ``k``.
    figures : dict of str to Metric
        By ``"metric@k"``: Recall and MRR at ``k``, then all that was chosen. Metrics of whole lists have no interval.
    """

    level: str
    k: int
    sessions: int
    ceiling: float | None
    recall: Metric
    mrr: Metric
    repeat: PartResult
    explore: PartResult
    figures: dict[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What a row costs: means over seeds; None where it does not apply."""

    fit_seconds: float | None = None
    tune_seconds: float | None = None
    sessions_per_second: float | None = None  # scored, all levels
    events_per_second: float | None = None  # in training
    parameters: int | None = None
    epochs: float | None = None


@dataclass(frozen=True)
class RowResult:
    """One row of the grid.

    Attributes
    ----------
    row : str
        Its name, e.g. ``"hup-nomicro"``.
    title : str
        As the paper prints it, e.g. ``"HUP-NoMicro"``.
    group : str
        ``"paper"`` (the paper's baselines), ``"hup"``, ``"variant"`` (its ablations), ``"ingredient"`` (ablations of
        the preset ``best``), ``"critic"`` (rows the paper lacks).
    seeds : tuple of int
        Seeds that are finished; a model that has no random part has one.
    failed : str or None
        Why the row has no figures.
    levels : dict of str to LevelResult
        ``"item"``, then ``"category_K"`` … ``"category_1"``; empty where the row failed.
    overrides : dict of str to tuple of str
        By level, the setting that tuning chose, as ``key=value``.
    trials : list of dict
        All settings tried: ``{"overrides": [...], "gains": {level: …}, "selection": …, "seconds": …}``, where
        ``selection`` is the mean of the gains.
    collapse : dict
        Spread of tables by name: ``{"mean_cosine": …, "effective_rank": …}``; empty for models without tables.
    calibration : dict
        By level, of models that give probabilities: ``{"error": …, "bins": [{"count", "probability", "came_true"}]}``.
    """

    row: str
    title: str
    group: str
    seeds: tuple[int, ...]
    failed: str | None
    levels: dict[str, LevelResult]
    cost: Cost
    overrides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    collapse: dict[str, dict[str, float]] = field(default_factory=dict)
    calibration: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A row against the reference row, in pairs over sessions (two-sided paired t-test).

    Attributes
    ----------
    reference, row, level, metric : str
        ``metric`` is ``"recall"`` or ``"mrr"``.
    mean : float
        Reference minus row, as a share.
    interval : tuple of float
        Its 95 % bootstrap interval.
    p, p_holm : float
        As found, and corrected after Holm over all rows of this level and metric.
    """

    reference: str
    row: str
    level: str
    metric: str
    mean: float
    interval: tuple[float, float]
    p: float
    p_holm: float


@dataclass(frozen=True, repr=False)
class Results:
    """All of a run folder.

    Attributes
    ----------
    path : Path
    label : str
        What the reader should call the dataset, e.g. ``"JD Appliances (sample)"``.
    protocol : dict
        Every choice the figures depend on, ``"name"`` is ``"default"`` or ``"paper"``.
    dataset : dict
        ``fingerprint``, ``path``, ``levels``, and counts: ``sessions``, ``users`` (or None), ``items``, ``categories``
        (list, coarsest first), ``events``, ``train_sessions``, ``test_sessions``, ``target_repeat_share``.
    command : str
        The command that made the run.
    made : dict
        ``version`` of HUP, ``date``, ``seeds``, ``tuning_budget``, ``tuning_budget_trained``, ``jobs``, ``seconds``.
    rows : list of RowResult
        In the order of the table.
    reference : str
        The row that the others are tested against (``"hup"``, or the first one).
    differences : list of Difference
        Reference against every other row.
    stars : dict
        ``stars[level][metric]``: the row that is significantly (p < 0.01 after Holm) better than every other, or None.
    swept : dict or None
        For ``hup sweep``: ``{"key": …, "values": [...], "rows": [...]}``; row names by value are in ``rows``.
    choice : Choice
        Which metrics are given, at which cut-offs.
    """

    path: Path
    label: str
    protocol: dict[str, Any]
    dataset: dict[str, Any]
    command: str
    made: dict[str, Any]
    rows: list[RowResult]
    reference: str
    differences: list[Difference]
    stars: dict[str, dict[str, str | None]]
    swept: dict[str, Any] | None = None
    choice: Choice = DEFAULT

    @property
    def levels(self) -> list[str]:
        """Levels that have figures: ``"item"``, then ``"category_K"`` … ``"category_1"``."""
        return list(next((row.levels for row in self.rows if row.levels), {}))

    def to_frame(self) -> pd.DataFrame:
        """Give all figures as a data frame of pandas, one a line.

        Columns: ``row``, ``title``, ``group``, ``level``, ``part`` (``"all"``, ``"repeat"`` or ``"explore"``),
        ``metric``, ``k``, ``value`` (a mean over seeds; shares in [0, 1]), ``low`` and ``high`` (its 95 % interval),
        ``sessions``, ``seeds`` (how many). A row without figures has one line, without a metric.

        Raises
        ------
        HupError
            Pandas is not installed.
        """
        return data_frame(_COLUMNS, [line for row in self.rows for line in self._lines(row)], ("value", "low", "high"))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``hup compare --json`` writes: the lines of :meth:`to_frame`, and all tests."""
        lines = [dict(zip(_COLUMNS, line, strict=True)) for row in self.rows for line in self._lines(row)]
        return {
            "label": self.label,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "made": self.made,
            "command": self.command,
            "failed": {row.row: row.failed for row in self.rows if row.failed is not None},
            "figures": lines,
            "differences": [asdict(difference) for difference in self.differences],
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write the figures; the file appears whole or not at all.

        Raises
        ------
        HupError
            The file cannot be written.
        """
        with write_aside(Path(path)) as aside:
            aside.write_text(self.to_json(), encoding="utf-8")

    def _lines(self, row: RowResult) -> list[tuple[Any, ...]]:
        named, seeds = (row.row, row.title, row.group), len(row.seeds)
        if not row.levels:
            return [(*named, None, None, None, None, None, None, None, None, seeds)]
        lines: list[tuple[Any, ...]] = []
        for level, of in row.levels.items():
            for name, figure in of.figures.items():
                metric, _, k = name.partition("@")
                low, high = figure.interval or (None, None)
                lines.append((*named, level, "all", metric, int(k), figure.value, low, high, of.sessions, seeds))
            for part, found in (("repeat", of.repeat), ("explore", of.explore)):
                for metric, value in (("recall", found.recall), ("mrr", found.mrr)):
                    lines.append((*named, level, part, metric, of.k, value, None, None, found.sessions, seeds))
        return lines

    def __repr__(self) -> str:
        return self._overview().text()

    def _repr_html_(self) -> str:
        return self._overview().html()

    def _overview(self) -> Overview:
        """Lay out what stands first, for a person who looks at the result."""
        rows = {
            row.row: {level: (of.recall.value, of.mrr.value) for level, of in row.levels.items()} for row in self.rows
        }
        sessions = self.dataset.get("test_sessions")
        told = f", {sessions:,} test sessions" if isinstance(sessions, int) else ""
        return Overview(f"Comparison on {self.label}{told}", self.levels, rows)
