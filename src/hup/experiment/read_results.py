"""From the ranks in a run folder to figures, intervals, tests and stars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hup.errors import HupError
from hup.evaluation.metrics import cutoff, recall, reciprocal_rank
from hup.evaluation.significance import bootstrap_mean, holm, paired_t_test
from hup.experiment.results import Cost, Difference, LevelResult, Metric, PartResult, Results, RowResult
from hup.experiment.run_folder import Request, RunFolder
from hup.sessions.levels import Level

Floats = NDArray[np.float64]
SIGNIFICANT = 0.01
REFERENCE = "hup"


def read_results(folder: str | Path) -> Results:
    """Read what a grid has found so far.

    Raises
    ------
    HupError
        If the folder is no run, or a file of it does not read.
    """
    run = RunFolder(Path(folder))
    request = run.read()
    rows, values = [], {}
    for row in request.rows:
        result, per_session = _row(run, request, row)
        rows.append(result)
        if per_session:
            values[result.row] = per_session
    reference = REFERENCE if REFERENCE in values else next(iter(values), REFERENCE)
    facts = request.facts | {"fingerprint": request.fingerprint, "path": request.dataset}
    return Results(
        path=run.path,
        label=request.label,
        protocol={"name": request.protocol, **_protocol(run, request)},
        dataset=facts,
        command=request.command,
        made={
            "version": request.version,
            "date": request.date,
            "seeds": request.seeds,
            "tuning_budget": request.tuning,
            "tuning_budget_trained": request.budget(costly=True),
            "jobs": request.jobs,
            "seconds": request.seconds,
        },
        rows=rows,
        reference=reference,
        differences=_differences(values, reference),
        stars=_stars(values),
        swept=request.swept,
    )


def _row(run: RunFolder, request: Request, row: dict[str, Any]) -> tuple[RowResult, dict[str, dict[str, Floats]]]:
    """One row's result, and its values of every session, by level and metric, averaged over seeds."""
    name = row["name"]
    cells = {seed: cell for seed in request.seeds if (cell := run.read_cell(name, seed)) is not None}
    good = {seed: cell for seed, cell in cells.items() if cell["failed"] is None}
    trials = [
        trial
        for number in range(max(request.tuning, request.budget(costly=True)))
        if (trial := run.read_trial(name, number)) is not None
    ]
    failed = None
    if not good:
        failed = next((str(cell["failed"]) for cell in cells.values()), "not run yet")
    ranks = [_ranks(run.cell(name, seed) / "ranks.parquet") for seed in good]
    levels, values = {}, {}
    for level in ranks[0] if ranks else ():
        levels[level], values[level] = _level([of_seed[level] for of_seed in ranks], level)
    costs = [cell["cost"] for cell in good.values()]
    first = next(iter(good.values()), {})
    result = RowResult(
        row=name,
        title=row["title"],
        group=row["group"],
        seeds=tuple(good),
        failed=failed,
        levels=levels,
        cost=_cost(costs, trials),
        overrides={level: tuple(setting) for level, setting in first.get("overrides", {}).items()},
        trials=trials,
        collapse=first.get("collapse", {}),
        calibration=first.get("calibration", {}),
    )
    return result, values


def _ranks(path: Path) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Ranks of every session, and whether it is a repeat, by level; sessions in one order."""
    try:
        table = pq.read_table(path).sort_by("session")
    except (OSError, ValueError) as error:
        raise HupError(f"{path} does not read as ranks ({error}). Remove its folder and run the grid again.") from error
    levels = np.array(table.column("level").to_pylist(), dtype=object)
    rank = table.column("rank").to_numpy(zero_copy_only=False).astype(np.float64)
    rank = np.where(np.isnan(rank), np.inf, rank)
    repeat = table.column("repeat").to_numpy(zero_copy_only=False).astype(bool)
    ordered = sorted(map(Level, set(levels)), key=lambda level: (level.is_category, -level.k))
    return {level: (rank[levels == level], repeat[levels == level]) for level in ordered}


def _level(by_seed: list[tuple[Floats, NDArray[np.bool_]]], level: str) -> tuple[LevelResult, dict[str, Floats]]:
    k, repeat = cutoff(level), by_seed[0][1]
    ranks = np.stack([of_seed for of_seed, _ in by_seed])
    values = {"recall": recall(ranks, k), "mrr": reciprocal_rank(ranks, k)}
    means = {name: value.mean(axis=0) for name, value in values.items()}

    def part(mask: NDArray[np.bool_]) -> PartResult:
        n = int(mask.sum())
        return PartResult(n, *(float(means[name][mask].mean()) if n else None for name in ("recall", "mrr")))

    def metric(name: str) -> Metric:
        if not len(repeat):
            return Metric(None, None)
        by = tuple(float(value) for value in values[name].mean(axis=1))
        return Metric(float(means[name].mean()), bootstrap_mean(means[name]), by)

    ceiling = float(np.isfinite(ranks[0]).mean()) if len(repeat) else None
    result = LevelResult(level, k, len(repeat), ceiling, metric("recall"), metric("mrr"), part(repeat), part(~repeat))
    return result, means


def _cost(costs: list[dict[str, Any]], trials: list[dict[str, Any]]) -> Cost:
    def mean(name: str) -> float | None:
        known = [cost[name] for cost in costs if cost.get(name) is not None]
        return float(np.mean(known)) if known else None

    parameters = mean("parameters")
    return Cost(
        fit_seconds=mean("fit_seconds"),
        tune_seconds=sum(trial["seconds"] or 0.0 for trial in trials) if trials else None,
        sessions_per_second=mean("sessions_per_second"),
        events_per_second=mean("events_per_second"),
        parameters=None if parameters is None else round(parameters),
        epochs=mean("epochs"),
    )


def _differences(values: dict[str, dict[str, dict[str, Floats]]], reference: str) -> list[Difference]:
    """Test the reference against every other row, corrected over the rows of a level and metric."""
    differences = []
    others = [row for row in values if row != reference]
    for level, metrics in values.get(reference, {}).items():
        for metric, ours in metrics.items():
            p_values = [paired_t_test(ours, values[row][level][metric]) for row in others]
            for row, p, corrected in zip(others, p_values, holm(p_values), strict=True):
                difference = ours - values[row][level][metric]
                interval = bootstrap_mean(difference) if len(difference) else (0.0, 0.0)
                mean = float(difference.mean()) if len(difference) else 0.0
                differences.append(Difference(reference, row, level, metric, mean, interval, p, corrected))
    return differences


def _stars(values: dict[str, dict[str, dict[str, Floats]]]) -> dict[str, dict[str, str | None]]:
    """Find the row that is significantly better than every other one, for every level and metric."""
    stars: dict[str, dict[str, str | None]] = {}
    for level, metrics in next(iter(values.values()), {}).items():
        stars[level] = {}
        for metric in metrics:
            column = {row: figures[level][metric] for row, figures in values.items()}
            best = max(column, key=lambda row: float(column[row].mean()) if len(column[row]) else 0.0)
            p_values = [paired_t_test(column[best], other) for row, other in column.items() if row != best]
            is_clear = bool(p_values) and max(holm(p_values)) < SIGNIFICANT
            stars[level][metric] = best if is_clear else None
    return stars


def _protocol(run: RunFolder, request: Request) -> dict[str, Any]:
    for row in request.rows:
        for seed in request.seeds:
            cell = run.read_cell(row["name"], seed)
            if cell is not None and cell["failed"] is None:
                protocol: dict[str, Any] = cell["protocol"]
                return protocol
    return {}
