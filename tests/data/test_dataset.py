"""Opening dataset folders, whole and broken."""

import json

import numpy as np
import pyarrow as pa
import pytest

from hup.data.dataset import Dataset
from hup.data.prepare import prepare
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
        (lambda m: m.update(schema_version=2), "schema_version 2"),
        (lambda m: m.pop("split"), "key split"),
        (lambda m: m.update(extra=1), "key extra"),
        (lambda m: m["counts"].update(events=21), r"events\.arrow has 20 rows, manifest\.json says 21"),
        (lambda m: m["counts"].update(sessions=9), r"sessions\.arrow has 10 rows"),
        (lambda m: m["counts"].update(items=3), r"items\.arrow has 2 rows"),
        (lambda m: m["counts"].update(categories=[2, 3]), "2 categories at level 2"),
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
    changed = pa.record_batch({"offset": pa.array(offsets), "session": batch.column("session")})
    with pa.ipc.new_file(str(path), changed.schema) as writer:
        writer.write_batch(changed)
    with pytest.raises(HupError, match="must start at 0 and rise"):
        Dataset.open(folder)
