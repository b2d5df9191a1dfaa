"""Tables that are made part by part: whole or not there, and gone on with after a stop."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from hup.errors import HupError
from hup.recommender.table_file import write_in_parts

SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("path", pa.list_(pa.string())),
        ("vector", pa.list_(pa.float32())),
        ("origin", pa.struct([("repeat", pa.float32())])),
    ]
)


class Stopped(BaseException):
    """As a process that is killed: nothing catches it."""


class Maker:
    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.made, self.notes, self.skipped = stop_at, [], [], []

    def __call__(self, part: int) -> pa.RecordBatch:
        if part == self.stop_at:
            raise Stopped
        self.made.append(part)
        rows = [
            {"user": f'"{part}", u', "path": ["a b", "c"], "vector": [0.1, -2], "origin": {"repeat": 0.1}},
            {"user": f"{part}", "path": [], "vector": [1e-7], "origin": None},
        ]
        return pa.RecordBatch.from_pylist(rows if part != 2 else [], schema=SCHEMA)

    def write(self, path: Path, question: object = "q") -> int:
        return write_in_parts(
            path, {"q": question}, SCHEMA, range(5), self, note=self.notes.append, skipped=self.skipped.append
        )


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_a_run_that_was_stopped_goes_on(tmp_path, name):
    path, whole = tmp_path / name, tmp_path / "whole" / name
    assert Maker().write(whole) == 8
    assert leftovers(whole.parent) == [name]
    with pytest.raises(Stopped):
        Maker(stop_at=3).write(path)
    assert not path.exists()
    second = Maker()
    assert second.write(path) == 8
    assert (second.made, second.skipped) == ([3, 4], [0, 1, 2])
    assert "3 parts are there" in second.notes[0]
    assert path.read_bytes() == whole.read_bytes()
    assert leftovers(tmp_path) == [name, "whole"]


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("old")
    with pytest.raises(Stopped):
        Maker(stop_at=4).write(path)
    assert path.read_text() == "old"
    Maker().write(path)
    assert path.read_text() != "old"


def test_parts_of_another_question_are_made_anew(tmp_path):
    with pytest.raises(Stopped):
        Maker(stop_at=3).write(tmp_path / "t.csv")
    other = Maker()
    other.write(tmp_path / "t.csv", question="another")
    assert other.made == [0, 1, 2, 3, 4]
    assert "asked something else" in other.notes[0]


def test_two_runs_do_not_write_one_file(tmp_path):
    folder = tmp_path / "t.csv.partial"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HupError, match="Another run is writing"):
            Maker().write(tmp_path / "t.csv")


def test_what_the_files_hold(tmp_path):
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        Maker().write(tmp_path / name)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.schema == SCHEMA
    assert table.to_pylist()[0]["vector"] == pytest.approx([0.1, -2])
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert rows[0] == {"user": '"0", u', "path": ["a b", "c"], "vector": [0.1, -2], "origin": {"repeat": 0.1}}
    assert rows[1]["origin"] is None
    csv = pa_csv.read_csv(tmp_path / "t.csv")
    assert csv.column_names == ["user", "path", "vector", "origin.repeat"]
    assert csv.to_pylist()[0] == {"user": '"0", u', "path": "a b > c", "vector": "0.1 -2", "origin.repeat": 0.1}
    assert csv.num_rows == table.num_rows == len(rows) == 8


def test_no_rows_are_an_empty_table(tmp_path):
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        path = tmp_path / name
        assert write_in_parts(path, {}, SCHEMA, [], Maker(), note=print, skipped=print) == 0
        assert path.is_file()


def test_a_place_or_ending_that_does_not_do_is_told(tmp_path):
    with pytest.raises(HupError, match=r"t\.xlsx ends in '\.xlsx', expected one of \.parquet, \.csv, \.jsonl"):
        Maker().write(tmp_path / "t.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(HupError, match="Cannot write"):
        Maker().write(tmp_path / "file" / "t.csv")
