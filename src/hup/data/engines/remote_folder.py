"""Folders in object stores and on HDFS, written by the file systems that Spark knows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from hup.data.engines.spark_engine import SparkEngine
from hup.data.engines.spark_errors import in_one_line
from hup.errors import HupError

MARKER = "manifest.json"


def check_target(engine: SparkEngine, uri: str, overwrite: bool, marker: str = MARKER) -> None:
    """Refuse a place to write to before anyone waits for what is to be written.

    Parameters
    ----------
    engine : SparkEngine
        Knows the file system.
    uri : str
        The folder to be made.
    overwrite : bool
        Whether a folder that is there may be replaced.
    marker : str
        A file by which folders are known that may be replaced.

    Raises
    ------
    HupError
        If `uri` exists and may not be replaced, or its file system is not known or not reachable.
    """
    with in_one_line(f"{uri} cannot be written"):
        _RemoteFolder(engine.spark, uri).check(overwrite, marker)


def upload_folder(engine: SparkEngine, folder: Path, uri: str, overwrite: bool, marker: str = MARKER) -> None:
    """Copy the files of a finished local folder, not of folders in it, to `uri`: all of them or none.

    Files go to ``URI.partial-<pid>``, which is renamed at the end. Where a file system has no renaming of folders
    (object stores), its connector copies file by file, and others may see a part of the folder until that is done.

    Parameters
    ----------
    engine : SparkEngine
        Knows the file system.
    folder : Path
        What to copy; it stays. Folders in it are not copied.
    uri : str
        The folder to make.
    overwrite : bool
        Whether a folder that is there may be replaced; that happens after everything was copied.
    marker : str
        A file by which folders are known that may be replaced.

    Raises
    ------
    HupError
        If `uri` exists and may not be replaced, or something fails; then what was at `uri` is there still.
    """
    with in_one_line(f"{uri} cannot be written"):
        target = _RemoteFolder(engine.spark, uri)
        target.check(overwrite, marker)
        target.fill(folder)


class _RemoteFolder:
    """A folder-to-be, and the Java objects that reach it."""

    def __init__(self, spark: Any, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._new_path = spark._jvm.org.apache.hadoop.fs.Path
        self._out = self._new_path(self._uri)
        self._system = self._out.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
        # On local disks, Hadoop would put a hidden file with check sums beside each.
        self._system.setWriteChecksum(False)

    def check(self, overwrite: bool, marker: str) -> None:
        if not self._system.exists(self._out):
            return
        if not overwrite:
            raise HupError(f"{self._uri} exists. Choose another --out, or replace it with --overwrite.")
        is_file = self._system.getFileStatus(self._out).isFile()
        is_ours = not is_file and self._system.exists(self._new_path(self._out, marker))
        if is_file or not (is_ours or len(self._system.listStatus(self._out)) == 0):
            raise HupError(
                f"{self._uri} exists and was not made by this command; it is not replaced. Choose another --out."
            )

    def fill(self, folder: Path) -> None:
        partial = self._new_path(f"{self._uri}.partial-{os.getpid()}")
        replaced = self._new_path(f"{self._uri}.replaced-{os.getpid()}")
        try:
            self._system.delete(partial, True)
            self._system.mkdirs(partial)
            for file in sorted(path for path in folder.iterdir() if path.is_file()):
                target = self._new_path(partial, file.name)
                source = self._new_path(f"file://{file.absolute()}")
                self._system.copyFromLocalFile(False, True, source, target)
            self._publish(partial, replaced)
        finally:
            with suppress(Exception):
                self._system.delete(partial, True)

    def _publish(self, partial: Any, replaced: Any) -> None:
        if self._system.exists(self._out):
            self._rename(self._out, replaced)
        try:
            self._rename(partial, self._out)
        except BaseException:
            if self._system.exists(replaced) and not self._system.exists(self._out):
                self._system.rename(replaced, self._out)
            raise
        self._system.delete(replaced, True)

    def _rename(self, source: Any, target: Any) -> None:
        # Hadoop says so rather than raise.
        if not self._system.rename(source, target):
            raise HupError(f"{self._uri} cannot be written: {source.toString()} could not be renamed.")
