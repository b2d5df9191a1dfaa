"""From the ranks in a run folder to figures, intervals, tests and stars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hup.errors import HupError
from hup.evaluation.choice import Choice
from hup.evaluation.exposure import Exposure
from hup.evaluation.exposure_file import read_exposure
from hup.evaluation.metrics import MAIN, RANK_METRICS, cutoff
from hup.evaluation.significance import bootstrap_mean, holm, paired_t_test
from hup.experiment.results import Cost, Difference, LevelResult, Metric, PartResult, Results, RowResult
from hup.experiment.run_folder import Request, RunFolder
from hup.sessions.levels import Level

Floats = NDArray[np.float64]
SIGNIFICANT = 0.01
#: Rows that the others are tested against: the first of them that is there, else the first row of all.
REFERENCES = ("hup", "hup-best")


def read_results(
    folder: str | Path, *, at: Sequence[int] | None = None, metrics: Sequence[str] | None = None
) -> Results:
    """Read what a grid has found so far.

    Parameters
    ----------
    folder : path
        Run folder.
    at, metrics : optional
        As for :func:`hup.compare`; default those that it was asked for last. Nothing is run: what needs lists that were
        not counted has no value.

    Raises
    ------
    HupError
        If the folder is no run, a file of it does not read, or there is no such metric or cut-off.
    """
    run = RunFolder(Path(folder))
    request = run.read()
    choice = Choice.of(request.metrics if metrics is None else metrics, request.at if at is None else at)
    rows, values = [], {}
    for row in request.rows:
        result, per_session = _row(run, request, row, choice)
        rows.append(result)
        if per_session:
            values[result.row] = per_session
    reference = next((row for row in (*REFERENCES, *values) if row in values), REFERENCES[0])
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
        choice=choice,
    )


def _row(
    run: RunFolder, request: Request, row: dict[str, Any], choice: Choice
) -> tuple[RowResult, dict[str, dict[str, Floats]]]:
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
    exposures = [read_exposure(run.exposure(name, seed)) for seed in good] if choice.needs_lists else []
    levels, values = {}, {}
    for level in ranks[0] if ranks else ():
        counted = [of_seed[level] for of_seed in exposures if level in of_seed]
        levels[level], values[level] = _level([of_seed[level] for of_seed in ranks], counted, level, choice)
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


def _level(
    by_seed: list[tuple[Floats, NDArray[np.bool_]]], exposures: list[Exposure], level: str, choice: Choice
) -> tuple[LevelResult, dict[str, Floats]]:
    k, repeat = cutoff(level), by_seed[0][1]
    ranks = np.stack([of_seed for of_seed, _ in by_seed])
    means = {metric: RANK_METRICS[metric](ranks, k).mean(axis=0) for metric in MAIN}

    def part(mask: NDArray[np.bool_]) -> PartResult:
        n = int(mask.sum())
        return PartResult(n, *(float(means[name][mask].mean()) if n else None for name in MAIN))

    def figure(metric: str, k: int) -> Metric:
        return _of_ranks(ranks, metric, k) if metric in RANK_METRICS else _of_lists(exposures, metric, k)

    ceiling = float(np.isfinite(ranks[0]).mean()) if len(repeat) else None
    figures = {f"{metric}@{at}": figure(metric, at) for metric, at in choice.figures(level)}
    main = [figures[f"{metric}@{k}"] for metric in MAIN]
    result = LevelResult(level, k, len(repeat), ceiling, main[0], main[1], part(repeat), part(~repeat), figures)
    return result, means


def _of_ranks(ranks: Floats, metric: str, k: int) -> Metric:
    """Give a metric of ranks, ``(seeds, sessions)``."""
    if not ranks.size:
        return Metric(None, None)
    values = RANK_METRICS[metric](ranks, k)
    means = values.mean(axis=0)
    return Metric(float(means.mean()), bootstrap_mean(means), tuple(float(value) for value in values.mean(axis=1)))


def _of_lists(exposures: list[Exposure], metric: str, k: int) -> Metric:
    """Give a metric of whole lists, of every seed whose lists were counted."""
    found = [value for exposure in exposures if (value := exposure.figure(metric, k)) is not None]
    return Metric(float(np.mean(found)) if found else None, None, tuple(found))


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
