"""Folders in object stores and on HDFS, written by the file systems that Spark knows."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from hup.data.engines.duckdb_engine import DuckDBEngine, EngineName
from hup.data.engines.reader import is_uri
from hup.data.engines.spark_errors import in_one_line
from hup.errors import HupError

MARKER = "manifest.json"


def remote_target(out: str | Path, engine: EngineName) -> str | None:
    """Give `out` if it is a URI, else None.

    Raises
    ------
    HupError
        If it is one and the engine is not Spark.
    """
    if not is_uri(str(out)):
        return None
    if engine != "spark":
        raise HupError(f"{out} is written by Spark: add --engine spark. DuckDB writes to folders of this machine.")
    return str(out)


@contextmanager
def local_twin(target: str) -> Iterator[Path]:
    """Give a temporary place for the folder before it is copied; it stays only if the block ends well.

    Of a block that fails, at most a file beside the folder stays, such as a list of rejects that the error names.
    """
    twin = Path(tempfile.mkdtemp(prefix="hup-")) / (PurePosixPath(target).name or "dataset")
    try:
        yield twin
    except BaseException:
        shutil.rmtree(twin, ignore_errors=True)
        with suppress(OSError):
            twin.parent.rmdir()
        raise


def check_target(engine: DuckDBEngine, uri: str, overwrite: bool) -> None:
    """Refuse a place to write to before anyone waits for what is to be written.

    Parameters
    ----------
    engine : DuckDBEngine
        Read by Spark, which knows the file system.
    uri : str
        The folder to be made.
    overwrite : bool
        Whether a folder that is there may be replaced, if it has a `MARKER`.

    Raises
    ------
    HupError
        If `uri` exists and may not be replaced, or its file system is not known or not reachable.
    """
    with in_one_line(f"{uri} cannot be written"):
        _RemoteFolder(engine, uri).check(overwrite)


def upload_folder(engine: DuckDBEngine, folder: Path, uri: str, overwrite: bool) -> None:
    """Copy the files of a finished local folder, not of folders in it, to `uri`: all of them or none.

    Files go to ``URI.partial-…``, which is renamed at the end. Where a file system has no renaming of folders
    (object stores), its connector copies file by file, and others may see a part of the folder until that is done.
    Parameters are as for `check_target`; what is replaced goes after everything was copied.

    Raises
    ------
    HupError
        If `uri` exists and may not be replaced, or something fails; then what was at `uri` is there still.
    """
    with in_one_line(f"{uri} cannot be written"):
        target = _RemoteFolder(engine, uri)
        target.check(overwrite)
        target.fill(folder)


class _RemoteFolder:
    """A folder-to-be, and the Java objects that reach it."""

    def __init__(self, engine: DuckDBEngine, uri: str) -> None:
        from hup.data.engines.spark_reader import SparkReader

        assert isinstance(engine.reader, SparkReader)
        spark = engine.reader.spark
        self._uri = uri.rstrip("/")
        self._new_path = spark._jvm.org.apache.hadoop.fs.Path
        self._out = self._new_path(self._uri)
        self._system = self._out.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
        # On local disks, Hadoop would put a hidden file with check sums beside each.
        self._system.setWriteChecksum(False)

    def check(self, overwrite: bool) -> None:
        if not self._system.exists(self._out):
            return
        if not overwrite:
            raise HupError(f"{self._uri} exists. Choose another --out, or replace it with --overwrite.")
        is_file = self._system.getFileStatus(self._out).isFile()
        is_ours = not is_file and self._system.exists(self._new_path(self._out, MARKER))
        if is_file or not (is_ours or len(self._system.listStatus(self._out)) == 0):
            raise HupError(
                f"{self._uri} exists and was not made by this command; it is not replaced. Choose another --out."
            )

    def fill(self, folder: Path) -> None:
        # Not by the number of the process: machines that share the place count their own.
        token = secrets.token_hex(6)
        partial = self._new_path(f"{self._uri}.partial-{token}")
        replaced = self._new_path(f"{self._uri}.replaced-{token}")
        try:
            self._system.delete(partial, True)
            self._system.mkdirs(partial)
            for file in sorted(path for path in folder.iterdir() if path.is_file()):
                source = self._new_path(f"file://{file.absolute()}")
                self._system.copyFromLocalFile(False, True, source, self._new_path(partial, file.name))
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
