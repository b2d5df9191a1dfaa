"""Results that are made up, with ranks of every session in a folder, so that each verdict can be foreseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup.evaluation.metrics import recall, reciprocal_rank
from hup.experiment.results import Cost, LevelResult, Metric, PartResult, Results, RowResult
from hup.experiment.run_folder import RunFolder

LEVELS = {"item": 20, "category_1": 5}
Ranks = Mapping[str, np.ndarray]


def _row(folder: RunFolder, name: str, ranks: np.ndarray) -> RowResult:
    cell = folder.cell(name, 0)
    cell.mkdir(parents=True)
    sessions = np.arange(len(ranks))
    tables = [
        pa.table(
            {
                "session": sessions,
                "level": [level] * len(ranks),
                "rank": pa.array(np.where(np.isinf(ranks), np.nan, ranks), from_pandas=True),
            }
        )
        for level in LEVELS
    ]
    pq.write_table(pa.concat_tables(tables), cell / "ranks.parquet")
    levels = {}
    for level, k in LEVELS.items():
        figures = [float(measure(ranks, k).mean()) for measure in (recall, reciprocal_rank)]
        part = PartResult(len(ranks), *figures)
        found = [Metric(value, (max(0.0, value - 0.05), min(1.0, value + 0.05)), (value,)) for value in figures]
        levels[level] = LevelResult(level, k, len(ranks), 1.0, *found, part, part)
    group = "hup" if name == "hup" else "variant" if name.startswith("hup-") else "critic"
    return RowResult(name, name.upper(), group, (0,), None, levels, Cost(1.0, 2.0, 3.0, 4.0, 5, 6.0))


@pytest.fixture
def results_of(tmp_path) -> Callable[..., Results]:
    """Make results of rows from the rank of the target in every session, the same at both levels."""

    def make(
        ranks: Ranks, *, train_sessions: int = 700, label: str = "a shop", failed: tuple[str, ...] = ()
    ) -> Results:
        path = tmp_path / f"run-{train_sessions}"
        rows = [_row(RunFolder(path), name, np.asarray(of, dtype=np.float64)) for name, of in ranks.items()]
        rows += [RowResult(name, name.upper(), "paper", (), "it | broke", {}, Cost()) for name in failed]
        dataset = {
            "fingerprint": f"f{train_sessions}",
            "path": str(tmp_path / "dataset"),
            "levels": 1,
            "sessions": 1000,
            "users": None,
            "items": 50,
            "categories": [7],
            "events": 9000,
            "train_sessions": train_sessions,
            "validation_sessions": 100,
            "test_sessions": len(next(iter(ranks.values()))),
            "target_repeat_share": 0.5,
        }
        made = {"version": "0", "date": "2020-01-01", "seeds": 1, "tuning_budget": 1, "jobs": 1, "seconds": 1.0}
        return Results(Path(path), label, {"name": "default"}, dataset, "hup compare", made, rows, "hup", [], {})

    return make
