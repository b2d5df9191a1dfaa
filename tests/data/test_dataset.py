"""Opening dataset folders, whole and broken."""

import json

import numpy as np
import pyarrow as pa
import pytest

from hup.data.columns import write_batch
from hup.data.dataset import Dataset
from hup.data.dataset_writer import fingerprint
from hup.data.manifest import TimeRange
from hup.data.prepare import prepare
from hup.data.taxonomy import CodedItems
from hup.errors import HupError


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "log.txt"
    source.write_text("\n".join(["a+1+x/u+1+4 b+10+y/v+2+5"] * 10))
    return prepare(source, out=tmp_path / "out").path


def change_manifest(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_a_dataset_holds(folder):
    dataset = Dataset.open(str(folder))
    assert len(dataset) == 10
    assert dataset.levels == 2
    assert (dataset.n_items, dataset.n_train_items) == (2, 2)
    assert (dataset.n_categories, dataset.n_train_categories) == ((2, 2), (2, 2))
    assert [behavior.code for behavior in dataset.behaviors] == [str(code) for code in range(1, 11)]
    for array, dtype, values in (
        (dataset.item, np.int32, [0, 1]),
        (dataset.behavior, np.uint8, [0, 9]),
        (dataset.interval, np.float32, [1, 2]),
        (dataset.dwell, np.float32, [4, 5]),
    ):
        assert array.dtype == dtype
        assert array.tolist() == values * 10
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert dataset.offsets.tolist() == list(range(0, 21, 2))
    assert dataset.taxonomy.path_names(2, 1) == ("y", "v")
    assert dataset.sessions("test") == range(8, 10)
    with pytest.raises(HupError, match="no split 'tset'"):
        dataset.sessions("tset")


def test_a_log_without_users_and_times(folder):
    dataset = Dataset.open(folder)
    assert (dataset.session_name(3), dataset.session_user(3), dataset.session_times(3)) == ("log.txt:4", None, None)
    assert dataset.users == pa.nulls(10, pa.large_string())
    assert dataset.times == (pa.nulls(10, pa.int64()),) * 2
    assert dataset.n_users is None
    assert dataset.manifest.time is None
    assert dataset.time_range("train") is None
    assert dataset.item_events.tolist() == [10, 10]
    assert dataset.session_names.to_pylist() == [f"log.txt:{line}" for line in range(1, 11)]


def change_sessions(folder, **columns):
    path = folder / "sessions.arrow"
    batch = pa.ipc.open_file(path.read_bytes()).get_batch(0)
    for name, values in columns.items():
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, name, pa.array(values, batch.schema.field(name).type))
    write_batch(path, batch)


def test_users_and_times(folder):
    change_sessions(folder, user=["u", "v", None, "u", *["w"] * 6], start=[*range(9), None], end=range(100, 110))
    dataset = Dataset.open(folder)
    assert [dataset.session_user(index) for index in range(4)] == ["u", "v", None, "u"]
    assert dataset.n_users == 3
    assert [dataset.session_times(index) for index in (0, 8, 9)] == [(0, 100), (8, 108), None]
    assert dataset.time_range("train") == TimeRange(first_ms=0, last_ms=106)
    assert dataset.time_range("test") == TimeRange(first_ms=8, last_ms=109)


def test_the_fingerprint_is_of_users_and_times_but_not_of_how_it_came_about(folder):
    dataset = Dataset.open(folder)
    assert fingerprint_of(dataset) == dataset.fingerprint
    change_manifest(folder, lambda m: m.update(lineage=["x"], preparation={"format": "events", "anything": [1]}))
    changed = Dataset.open(folder)
    assert changed.manifest.lineage == ["x"]
    assert changed.manifest.preparation.model_dump()["anything"] == [1]
    assert fingerprint_of(changed) == dataset.fingerprint
    found = {dataset.fingerprint}
    for column, values in (("user", ["u"] * 10), ("start", [1] * 10), ("end", [1] * 10), ("start", range(10))):
        change_sessions(folder, **{column: values})
        found.add(fingerprint_of(dataset))
    assert len(found) == 5


def fingerprint_of(dataset):
    items = CodedItems(pa.array(dataset.item_names), dataset.item_events, dataset.taxonomy)
    return fingerprint(dataset.path, items, dataset.behaviors, dataset.manifest.split.bounds)


@pytest.mark.parametrize("name", ["events.arrow", "sessions.arrow", "items.arrow", "taxonomy.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"junk" * 100])
def test_missing_or_broken_file(folder, name, content):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(HupError, match=rf"{name}.*hup prepare"):
        Dataset.open(folder)


def test_no_folder_and_no_manifest(folder):
    with pytest.raises(HupError, match="no dataset folder"):
        Dataset.open(folder / "none")
    (folder / "manifest.json").unlink()
    with pytest.raises(HupError, match=r"no manifest\.json"):
        Dataset.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=1), "schema_version 1"),
        (lambda m: m.pop("split"), "key split"),
        (lambda m: m.update(extra=1), "key extra"),
        (lambda m: m["counts"].update(events=21), r"events\.arrow has 20 rows, manifest\.json says 21"),
        (lambda m: m["counts"].update(sessions=9), r"sessions\.arrow has 10 rows"),
        (lambda m: m["counts"].update(items=3), r"items\.arrow has 2 rows"),
        (lambda m: m["counts"].update(categories=[2, 3]), "2 categories at level 2"),
        (lambda m: m["counts"].update(categories=[2]), "has 2 levels, manifest.json says 1"),
        (lambda m: m.update(levels=1), r"items\.arrow has columns"),
    ],
)
def test_manifest_that_disagrees(folder, change, message):
    change_manifest(folder, change)
    with pytest.raises(HupError, match=message):
        Dataset.open(folder)


def test_manifest_that_is_not_json(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(HupError, match="not JSON"):
        Dataset.open(folder)


def test_file_of_two_batches(folder):
    path = folder / "sessions.arrow"
    batch = pa.ipc.open_file(path.read_bytes()).get_batch(0)
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    with pytest.raises(HupError, match="2 record batches"):
        Dataset.open(folder)


def test_offsets_that_do_not_rise(folder):
    path = folder / "sessions.arrow"
    batch = pa.ipc.open_file(path.read_bytes()).get_batch(0)
    offsets = batch.column("offset").to_numpy().copy()
    offsets[3] = offsets[2]
    changed = batch.set_column(0, "offset", pa.array(offsets))
    with pa.ipc.new_file(str(path), changed.schema) as writer:
        writer.write_batch(changed)
    with pytest.raises(HupError, match="must start at 0 and rise"):
        Dataset.open(folder)
