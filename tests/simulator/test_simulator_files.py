"""Files of the simulator: they hold the log, equal seeds give equal bytes, nothing is overwritten or left behind."""

import gzip
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from hup.behaviors import JD_BEHAVIORS
from hup.errors import HupError
from hup.simulator import SimulatorConfig, build_catalogue, simulate, simulate_chunks
from hup.simulator.config import CHUNK_SESSIONS

SMALL = SimulatorConfig(sessions=300, items=400, levels=3, seed=5, mean_events=10)  # fits into one chunk


@pytest.fixture(scope="module")
def small():
    (chunk,) = simulate_chunks(SMALL)
    return chunk


@pytest.fixture(scope="module")
def shop():
    return build_catalogue(SMALL)


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".txt.zst"])
def test_jd_lines_hold_the_log(tmp_path, small, shop, ending):
    path = tmp_path / f"log{ending}"
    made = simulate(SMALL, path)
    assert made.events == len(small.item)
    assert made.files == (path,)
    assert list(tmp_path.iterdir()) == [path]
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = stream.read().decode().splitlines()
    assert len(lines) == SMALL.sessions
    tokens = [token.split("+") for line in lines for token in line.split(" ")]
    np.testing.assert_array_equal(np.cumsum([len(line.split(" ")) for line in lines]), small.offsets[1:])
    assert {len(token) for token in tokens} == {5}
    item, behavior, path_text, interval, dwell = zip(*tokens, strict=True)
    np.testing.assert_array_equal(np.array(item, int), shop.number[small.item])
    np.testing.assert_array_equal(np.array(behavior, int), small.behavior + 1)
    categories = np.array([text.split("/") for text in path_text], int)
    np.testing.assert_array_equal(categories, shop.paths[small.item] + 1)
    np.testing.assert_array_equal(np.array(interval, int), small.interval)
    np.testing.assert_array_equal(np.array(dwell, int), small.dwell)


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz", ".csv.zst"])
def test_event_tables_hold_the_log(tmp_path, small, shop, ending):
    path = tmp_path / f"log{ending}"
    simulate(SMALL, path, format="events")
    if ending == ".parquet":
        table = pq.read_table(path)
    else:
        with pa.input_stream(str(path), compression="detect") as stream:
            table = pa_csv.read_csv(stream)
    names = ["user", "session", "event_id", "timestamp", "item", "behavior", "category_1", "category_2", "category_3"]
    assert table.column_names == names
    assert table.schema.field("timestamp").type == pa.int64()
    columns = table.to_pydict()
    np.testing.assert_array_equal(columns["timestamp"], small.event_ms())
    np.testing.assert_array_equal(columns["event_id"], np.arange(len(small.item)))
    np.testing.assert_array_equal(np.array(columns["item"], int), shop.number[small.item])
    assert columns["behavior"] == [JD_BEHAVIORS[code].name for code in small.behavior]
    np.testing.assert_array_equal(np.array(columns["category_3"], int), shop.leaf[small.item] + 1)
    session = np.repeat(np.arange(small.sessions), np.diff(small.offsets))
    assert columns["session"] == [f"s{number}" for number in session]
    assert columns["user"] == [f"u{number}" for number in small.user[session]]


@pytest.mark.parametrize("name", ["log.txt", "log.txt.gz", "log.txt.zst", "log.parquet", "log.csv"])
def test_same_seed_same_bytes(tmp_path, name):
    format = "jd" if ".txt" in name else "events"
    (tmp_path / "first").mkdir()
    simulate(SMALL, tmp_path / "first" / name, format=format)
    simulate(SMALL, tmp_path / "second" / name, format=format)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_folder_holds_the_same_lines_in_parts(tmp_path):
    config = replace(SMALL, sessions=CHUNK_SESSIONS + 500)
    simulate(config, tmp_path / "whole.txt")
    made = simulate(config, tmp_path / "parts", sessions_per_file=1_000)
    assert [path.name for path in made.files] == ["part-00000.txt", "part-00001.txt", "part-00002.txt"]
    assert [path.read_text().count("\n") for path in made.files] == [1_000, 1_000, 548]
    assert b"".join(path.read_bytes() for path in made.files) == (tmp_path / "whole.txt").read_bytes()


def test_folder_of_event_tables(tmp_path):
    made = simulate(SMALL, tmp_path / "parts", format="events", sessions_per_file=100)
    tables = [pq.read_table(path) for path in made.files]
    assert len(tables) == 3
    ids = pa.concat_tables(tables)["event_id"].to_numpy()
    np.testing.assert_array_equal(ids, np.arange(made.events))


def test_progress_counts_every_session(tmp_path):
    steps = []
    simulate(replace(SMALL, sessions=CHUNK_SESSIONS + 3), tmp_path / "log.txt", progress=steps.append)
    assert sum(steps) == CHUNK_SESSIONS + 3
    assert len(steps) == 2


@pytest.mark.parametrize(("name", "format"), [("log.csv", "jd"), ("log.json", "events"), ("log.txt", "events")])
def test_ending_that_does_not_fit_is_refused(tmp_path, name, format):
    with pytest.raises(HupError, match="ending does not fit"):
        simulate(SMALL, tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("mine")
    with pytest.raises(HupError, match="exists already"):
        simulate(SMALL, path)
    assert path.read_text() == "mine"
    simulate(SMALL, path, overwrite=True)
    assert path.read_text().count("\n") == SMALL.sessions


def test_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(HupError, match=r"thesis\.doc"):
        simulate(SMALL, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.doc").exists()


def test_folder_of_parts_is_replaced_when_told(tmp_path):
    simulate(SMALL, tmp_path / "parts", sessions_per_file=100)
    with pytest.raises(HupError, match="exists already"):
        simulate(SMALL, tmp_path / "parts")
    made = simulate(SMALL, tmp_path / "parts", overwrite=True)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [path.name for path in made.files]
    assert len(made.files) == 1


def test_an_empty_folder_is_filled_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = simulate(SMALL, ".", sessions_per_file=200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-00000.txt", "part-00001.txt"]
    assert len(made.files) == 2


def test_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HupError, match=r"cannot be written"):
        simulate(SMALL, tmp_path / "file" / "log.txt")


def test_failure_leaves_nothing_behind(tmp_path):
    def fail(_):
        raise KeyboardInterrupt

    for out in (tmp_path / "log.txt.gz", tmp_path / "parts"):
        with pytest.raises(KeyboardInterrupt):
            simulate(SMALL, out, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_gzip_holds_no_clock(tmp_path):
    simulate(SMALL, tmp_path / "log.txt.gz")
    with gzip.open(tmp_path / "log.txt.gz") as stream:
        stream.read(1)
        assert not stream.mtime
