from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hup.errors import HupError
from hup.evaluation.result import Evaluation
from hup.evaluation.tables import level_tables

INF = float("inf")


@pytest.fixture
def evaluation() -> Evaluation:
    ranks = {
        "hup": {"item": [1, 30, INF, 30], "category_1": [1, 1, 1, 9]},
        "recency": {"item": [1, 2, INF, 30], "category_1": [1, 1, 5, 9]},
        "popularity": {"item": [40, 50, INF, 30], "category_1": [9, 9, 9, 9]},
    }
    return Evaluation(
        dataset="f" * 64,
        protocol={"split": "test"},
        sessions=np.arange(10, 14),
        session_names=[f"toy.txt:{line}" for line in range(11, 15)],
        ranks={row: {level: np.array(r, dtype=float) for level, r in levels.items()} for row, levels in ranks.items()},
        repeat={"item": np.array([True, True, False, False]), "category_1": np.ones(4, dtype=bool)},
    )


def test_json_has_the_promised_shape(evaluation, tmp_path):
    evaluation.write_json(tmp_path / "new folder" / "metrics.json")
    found = json.loads((tmp_path / "new folder" / "metrics.json").read_text())
    assert list(found) == ["dataset", "protocol", "test_sessions", "rows"]
    assert found["dataset"] == "f" * 64
    assert found["test_sessions"] == 4
    item = found["rows"]["hup"]["item"]
    figures = {"recall@20", "recall@20_interval", "mrr@20", "mrr@20_interval"}
    assert set(item) == figures | {"ceiling", "repeat", "explore"}
    assert set(item["repeat"]) == set(item["explore"]) == figures | {"sessions"}
    assert item["recall@20"] == 0.25
    assert item["ceiling"] == 0.75
    assert len(item["recall@20_interval"]) == 2
    category = found["rows"]["recency"]["category_1"]
    assert category["recall@5"] == 0.75
    assert category["mrr@5"] == pytest.approx((1 + 1 + 0.2) / 4)
    assert category["explore"]["recall@5"] is None


def test_ranks_are_kept_by_session(evaluation, tmp_path):
    evaluation.write_ranks(tmp_path / "ranks.parquet")
    table = pq.read_table(tmp_path / "ranks.parquet")
    assert table.column_names == ["row", "level", "session", "session_name", "rank", "repeat"]
    rows = [row for row in table.to_pylist() if row["row"] == "recency" and row["level"] == "item"]
    assert [row["session"] for row in rows] == [10, 11, 12, 13]
    assert [row["session_name"] for row in rows] == evaluation.session_names
    assert [row["rank"] for row in rows] == [1, 2, None, 30]
    assert [row["repeat"] for row in rows] == [True, True, False, False]
    assert table.num_rows == 24


def test_a_failed_write_leaves_nothing_new(evaluation, tmp_path):
    (tmp_path / "metrics.json").write_text("before")
    evaluation.rows["hup"]["item"]["mrr@20"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        evaluation.write_json(tmp_path / "metrics.json")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert (tmp_path / "metrics.json").read_text() == "before"


def test_an_unwritable_place_is_told(evaluation, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HupError, match=r"Cannot write .*metrics\.json"):
        evaluation.write_json(tmp_path / "file" / "metrics.json")


def test_where_the_model_is_below_recency(evaluation):
    assert evaluation.below("hup") == [
        "item Recall@20: hup 25.0 %, recency 50.0 %",
        "item MRR@20: hup 25.0 %, recency 37.5 %",
    ]
    assert evaluation.below("recency") == []
    assert evaluation.below("hup", "stan") == []


def test_tables_name_the_rows_and_fit_a_terminal(evaluation):
    console = Console(width=80, record=True, file=io.StringIO())
    tables = level_tables(evaluation)
    assert len(tables) == 2
    for table in tables:
        console.print(table)
    text = console.export_text()
    assert "item, ceiling 75.0 %" in text
    assert "Recall@20 (95 %)" in text
    assert "MRR@5 (95 %)" in text
    assert "popularity" in text
    assert "50.0 (0.0–100.0)" in text  # noqa: RUF001
    assert "100.0 / 75.0" in text
    assert "- / -" in text
