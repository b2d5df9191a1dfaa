from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

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
    assert item["sessions"] == 4
    assert set(item) == figures | {"sessions", "ceiling", "repeat", "explore"}
    assert set(item["repeat"]) == set(item["explore"]) == figures | {"sessions"}
    assert item["recall@20"] == 0.25
    assert item["ceiling"] == 0.75
    assert len(item["recall@20_interval"]) == 2
    category = found["rows"]["recency"]["category_1"]
    assert category["recall@5"] == 0.75
    assert category["mrr@5"] == pytest.approx((1 + 1 + 0.2) / 4)
    assert category["explore"]["recall@5"] is None


def test_the_seed_is_of_the_intervals_alone(evaluation):
    many = {row: {level: np.tile(r, 30) for level, r in levels.items()} for row, levels in evaluation.ranks.items()}
    evaluation = replace(
        evaluation, ranks=many, repeat={level: np.tile(r, 30) for level, r in evaluation.repeat.items()}
    )

    def flat(seed: int) -> dict[str, object]:
        item = replace(evaluation, seed=seed).rows["recency"]["item"]
        return item | {f"repeat {name}": figure for name, figure in item.pop("repeat").items()}

    one, other = flat(1), flat(2)
    assert one == flat(1)
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {"recall@20_interval", "mrr@20_interval", "repeat mrr@20_interval"}


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


@pytest.fixture
def partial(evaluation) -> Evaluation:
    """The second and third session have no category, and none has one at another level."""
    nan = float("nan")
    ranks = {
        row: {**levels, "category_1": np.array([1, nan, nan, 9]), "category_0": np.full(4, nan)}
        for row, levels in evaluation.ranks.items()
    }
    return replace(evaluation, ranks=ranks, repeat={**evaluation.repeat, "category_0": np.zeros(4, dtype=bool)})


def test_sessions_without_a_target_at_a_level_do_not_count_there(partial, tmp_path):
    category = partial.rows["hup"]["category_1"]
    assert category["sessions"] == category["repeat"]["sessions"] == 2
    assert (category["recall@5"], category["ceiling"]) == (0.5, 1.0)
    assert partial.rows["hup"]["item"]["sessions"] == 4
    nothing = partial.rows["hup"]["category_0"]
    assert nothing["sessions"] == 0
    assert nothing["recall@5"] is nothing["mrr@5_interval"] is nothing["ceiling"] is None
    partial.write_json(tmp_path / "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text())["rows"]["hup"]["category_0"] == nothing
    partial.write_ranks(tmp_path / "ranks.parquet")
    kept = pq.read_table(tmp_path / "ranks.parquet").to_pylist()
    sessions = {
        (row, level): [r["session"] for r in kept if (r["row"], r["level"]) == (row, level)]
        for row in partial.ranks
        for level in partial.levels
    }
    for row in partial.ranks:
        assert sessions[row, "item"] == [10, 11, 12, 13]
        assert sessions[row, "category_1"] == [10, 13]
        assert sessions[row, "category_0"] == []
    assert [r["session_name"] for r in kept if r["level"] == "category_1"] == ["toy.txt:11", "toy.txt:14"] * 3
    assert all(line.startswith("item") for line in partial.below("hup"))


def test_a_level_without_sessions_has_no_table(partial):
    console = Console(width=80, record=True, file=io.StringIO())
    for table in level_tables(partial):
        console.print(table)
    text = console.export_text()
    assert "category_1: 2 sessions" in text
    assert "category_0" not in text
    assert "category_0" not in repr(partial) + partial._repr_html_()


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
    assert "item: 4 sessions, ceiling 75.0 %" in text
    assert "Recall@20 (95 %)" in text
    assert "MRR@5 (95 %)" in text
    assert "popularity" in text
    assert "50.0 (0.0–100.0)" in text  # noqa: RUF001
    assert "100.0 / 75.0" in text
    assert "– / –" in text  # noqa: RUF001


def test_the_same_ranks_at_other_cutoffs(evaluation):
    item = evaluation.at(1, 30, metrics=["ndcg", "hit_rate"]).rows["recency"]["item"]
    assert list(item) == [
        "sessions",
        *("recall@20", "recall@20_interval", "mrr@20", "mrr@20_interval", "ndcg@20", "ndcg@20_interval"),
        *("recall@1", "recall@1_interval", "ndcg@1", "ndcg@1_interval"),
        *("recall@30", "recall@30_interval", "ndcg@30", "ndcg@30_interval"),
        *("ceiling", "repeat", "explore"),
    ]
    assert (item["recall@1"], item["recall@20"], item["recall@30"]) == (0.25, 0.5, 0.75)
    assert item["ndcg@30"] == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(31)) / 4)
    assert item["repeat"]["recall@1"] == 0.5
    assert evaluation.at().rows == evaluation.rows
    with pytest.raises(HupError, match=r"Lists of 20 were not counted at level item, which coverage needs"):
        evaluation.at(5, metrics=["coverage"])


def test_a_frame_has_a_line_for_every_figure(partial):
    frame = partial.at(1).to_frame()
    assert list(frame.columns) == ["row", "level", "part", "metric", "k", "value", "low", "high", "sessions"]
    # Recall and MRR at two cut-offs, in three parts, of three rows at three levels.
    assert len(frame) == 4 * 3 * 3 * 3
    (line,) = frame.query(
        "row == 'recency' and level == 'item' and part == 'all' and metric == 'mrr' and k == 20"
    ).values
    assert line[5] == pytest.approx(partial.rows["recency"]["item"]["mrr@20"])
    assert list(line[6:8]) == partial.rows["recency"]["item"]["mrr@20_interval"]
    nothing = frame.query("level == 'category_0'")
    assert nothing[["value", "low", "high"]].isna().all(axis=None)
    assert (nothing.sessions == 0).all()
    assert frame.value.dtype == "float64"


def test_a_missing_pandas_is_told(evaluation, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HupError, match=r"needs pandas, which is not installed. Install it: pip install pandas"):
        evaluation.to_frame()


def test_a_result_shows_itself_in_a_few_lines(evaluation):
    assert repr(evaluation).splitlines() == [
        "Evaluation of 4 test sessions, Recall / MRR in %",
        "               item @20  category_1 @5",
        "hup         25.0 / 25.0    75.0 / 75.0",
        "recency     50.0 / 37.5    75.0 / 55.0",
        "popularity    0.0 / 0.0      0.0 / 0.0",
    ]
    many = replace(evaluation, ranks={f"row {n}": evaluation.ranks["recency"] for n in range(9)} | evaluation.ranks)
    assert len(repr(many).splitlines()) == 9
    assert repr(many).endswith("… and 6 more rows")
    assert "popularity" not in repr(many), "the best are shown"
    marked = replace(evaluation, ranks={"<b>": evaluation.ranks["hup"]})
    page = marked._repr_html_()
    assert "<td>25.0 / 25.0</td>" in page
    assert "<th>&lt;b&gt;</th>" in page


def test_further_figures_have_a_table_of_their_own(evaluation):
    console = Console(width=80, record=True, file=io.StringIO())
    tables = level_tables(evaluation.at(1, 20, metrics=["recall", "ndcg"]))
    for table in tables:
        console.print(table)
    text = console.export_text()
    assert len(tables) == 4
    assert "item, at 2 cut-offs" in text
    assert "category_1, at 3 cut-offs" in text
    assert "NDCG" in text
    assert len(level_tables(evaluation.at(20))) == 3, "20 is the items' own"
