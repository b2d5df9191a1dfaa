"""Dataset folders written by Spark's file systems, here by ``file:///``."""

from __future__ import annotations

import pytest

from hup.data.engines.remote_folder import _RemoteFolder, check_target, upload_folder
from hup.errors import HupError

pytestmark = pytest.mark.slow


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "made é"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "left out").write_text("x")
    (folder / "manifest.json").write_text("{}")
    (folder / "x%20y.arrow").write_bytes(bytes(range(256)) * 1000)
    (folder / "empty").write_bytes(b"")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_folder_appears_whole(spark, made, tmp_path):
    uri = f"file://{tmp_path}/new/out"
    check_target(spark, uri, overwrite=False)
    upload_folder(spark, made, uri, overwrite=False)
    assert contents(tmp_path / "new" / "out") == contents(made)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_what_is_there_is_only_replaced_when_asked(spark, made, tmp_path):
    uri, out = f"file://{tmp_path}/out/", tmp_path / "out"
    upload_folder(spark, made, uri, overwrite=False)
    (out / "old").write_text("old")
    for refuse in (check_target, lambda *a: upload_folder(spark, made, *a[1:])):
        with pytest.raises(HupError, match=r"out exists\. Choose another --out, or replace it with --overwrite"):
            refuse(spark, uri, False)
    assert (out / "old").exists()
    upload_folder(spark, made, uri, overwrite=True)
    assert contents(out) == contents(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made é", "out"]


def test_what_is_not_ours_stays(spark, made, tmp_path):
    (tmp_path / "theirs").mkdir()
    upload_folder(spark, made, f"file://{tmp_path}/theirs", overwrite=True)  # empty: nothing is lost
    (tmp_path / "theirs" / "manifest.json").unlink()
    (tmp_path / "file").write_text("x")
    for name in ("theirs", "file"):
        with pytest.raises(HupError, match="was not made by this command"):
            upload_folder(spark, made, f"file://{tmp_path}/{name}", overwrite=True)
    assert (tmp_path / "file").read_text() == "x"


def test_a_failure_leaves_what_was_there(spark, made, tmp_path, monkeypatch):
    uri = f"file://{tmp_path}/out"
    upload_folder(spark, made, uri, overwrite=False)
    before = contents(tmp_path / "out")
    (made / "manifest.json").write_text("newer")
    monkeypatch.setattr(_RemoteFolder, "_rename", lambda self, source, target: fail_second(self, source, target))
    renamed = []

    def fail_second(folder, source, target):
        renamed.append(source)
        if len(renamed) == 2:
            raise HupError("no")
        assert folder._system.rename(source, target)

    with pytest.raises(HupError, match="no"):
        upload_folder(spark, made, uri, overwrite=True)
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made é", "out"]


def test_places_that_cannot_be_written(spark, made):
    for uri in ("nosuchscheme://x/y", f"file://{made}/manifest.json/below"):
        with pytest.raises(HupError, match=f"{uri} cannot be written: ") as caught:
            upload_folder(spark, made, uri, overwrite=True)
        assert len(str(caught.value).splitlines()) == 1
