"""What each part of the preset ``best`` is worth over growing training data: its figures less those without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hup.evaluation.figures import NOTHING
from hup.experiment.results import Metric, Results
from hup.report.curves import Curves, Line
from hup.report.paired import Comparison, PairedTests
from hup.report.result_tables import METRICS
from hup.report.table import Cell, Group, Table
from hup.report.wording import metric_title
from hup.sessions.levels import ITEM

WHOLE = "hup-best"
#: Row without the part -> name of the part.
PARTS = {"best-no-repeat": "repeat", "best-no-memory": "memory", "best-no-profile": "profile"}
_SURE = 0.01


def worth_curves(runs: Sequence[Results]) -> Curves | None:
    """Draw what repeat, memory and profile are worth on items over the number of training sessions.

    Parameters
    ----------
    runs : sequence of Results
        One for each size; where two have the same number of training sessions, the later one counts.

    Returns
    -------
    Curves or None
        None where fewer than two sizes have ``best`` and ``best`` without one of its parts.
    """
    tests = {int(results.dataset["train_sessions"]): PairedTests(results) for results in runs}
    found = {
        (part, size, metric): compared
        for size, test in sorted(tests.items())
        for part in PARTS
        for metric in METRICS
        if (compared := test.compare(WHOLE, part, ITEM, metric)) is not None
    }
    sizes = sorted({size for _, size, _ in found})
    if len(sizes) < 2:
        return None
    k = tests[sizes[-1]].rows[WHOLE].levels[ITEM].k
    panels = tuple(
        (
            f"Items: {metric_title(metric, k)}, points",
            tuple(
                Line(
                    name,
                    tuple(size for size in sizes if (part, size, metric) in found),
                    tuple(
                        Metric(found[part, size, metric].mean, None) for size in sizes if (part, size, metric) in found
                    ),
                )
                for part, name in PARTS.items()
            ),
        )
        for metric in METRICS
    )
    head = (
        (Cell(""), *(Cell(f"{size:,} sessions", span=2) for size in sizes)),
        (Cell("part"), *(Cell(metric_title(metric, k)) for _ in sizes for metric in METRICS)),
    )

    def cell(part: str, size: int, metric: str) -> Cell:
        if (compared := found.get((part, size, metric))) is None:
            return Cell(NOTHING)
        sure = "*" if compared.p is not None and compared.p < _SURE else ""
        return Cell(f"{100 * compared.mean:+.1f}".replace("-", "−") + sure)  # noqa: RUF001 (a minus sign)

    body = tuple(
        (Cell(name), *(cell(part, size, metric) for size in sizes for metric in METRICS))
        for part, name in PARTS.items()
    )
    title = f"What each part of best is worth: {tests[sizes[-1]].results.label}"
    note = (
        "Items; best less best without the part, in points, means over seeds; * p < 0.01 in a two-sided paired t-test "
        "over sessions, not corrected."
    )
    sentences = tuple(
        sentence for part, name in PARTS.items() if (sentence := _growth(name, part, sizes, found, k)) is not None
    )
    return Curves(title, panels, "training sessions", True, Table(title, head, (Group("", body),), note), sentences)


def _growth(
    name: str, part: str, sizes: Sequence[int], found: Mapping[tuple[str, int, str], Comparison], k: int
) -> str | None:
    """Say what a part is worth at the smallest and at the largest size."""
    there = [size for size in sizes if (part, size, "mrr") in found]
    if len(there) < 2:
        return None
    first, last = (100 * found[part, size, "mrr"].mean for size in (there[0], there[-1]))
    said = f"{name.capitalize()} is worth {first:+.1f} points of MRR@{k} at {there[0]:,} training sessions"
    return f"{said} and {last:+.1f} at {there[-1]:,}.".replace("-", "−")  # noqa: RUF001 (a minus sign)
