"""A dataset that is to lie where only Spark can write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from hup.data.engines.duckdb_engine import DuckDBEngine, EngineName
from hup.data.engines.reader import is_uri
from hup.errors import HupError


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


def check_remote(engine: DuckDBEngine, target: str, overwrite: bool) -> None:
    """Refuse a target that cannot be written, before anyone waits.

    Raises
    ------
    HupError
        If it exists and may not be replaced, or cannot be reached.
    """
    from hup.data.engines.remote_folder import check_target
    from hup.data.engines.spark_engine import SparkEngine

    assert isinstance(engine, SparkEngine)
    check_target(engine, target, overwrite)


def send(engine: DuckDBEngine, folder: Path, target: str, overwrite: bool) -> None:
    """Copy the files of a finished folder to `target`, whole or not at all.

    Raises
    ------
    HupError
        If something fails; then what was there is there still.
    """
    from hup.data.engines.remote_folder import upload_folder
    from hup.data.engines.spark_engine import SparkEngine

    assert isinstance(engine, SparkEngine)
    upload_folder(engine, folder, target, overwrite)
