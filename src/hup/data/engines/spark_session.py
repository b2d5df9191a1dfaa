"""Spark: started, or taken as it runs, with the settings on which results depend; work on it can be broken off."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from hup.data.engines.duckdb_engine import machine_memory_bytes
from hup.data.engines.spark_errors import in_one_line, plain
from hup.errors import HupError

Result = TypeVar("Result")
INSTALL = "Spark is not installed here. Install it with: pip install 'hup-recsys[spark]' (it needs Java 17 or 21, too)."
_JAVA = (
    "Spark needs Java 17 or 21{found}. Install it (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: "
    "brew install openjdk@17), or say where it is: export JAVA_HOME=/path/to/java"
)

# Results depend on these, so that they hold in every session, also in one that was there before.
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # What overflows or does not convert is an error, as on DuckDB, rather than a null or a wrong number.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    # Workers make timestamps of them again: Spark has none in nanoseconds.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
    # What workers typed comes here in parts of some size, however large the files are.
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "64m",
}
# No two files in a piece, and none in two.
_WHOLE_FILES = {"spark.sql.files.maxPartitionBytes": str(1 << 44), "spark.sql.files.openCostInBytes": str(1 << 44)}


class RunningSpark:
    """A session of Spark: that of this process, which is left running, or else one of our own, which `close` stops.

    Parameters
    ----------
    master, folder, settings
        As of `SparkReader`.

    Attributes
    ----------
    spark : SparkSession
        Its settings and names of tables are not those of others on the same context.
    whole_files : SparkSession
        Another one, which reads each file in one piece.

    Raises
    ------
    HupError
        If PySpark or Java are missing, if Spark does not start, or runs on another master.
    """

    def __init__(self, master: str | None, folder: Path, settings: Mapping[str, str]) -> None:
        # A start that is broken off leaves Java processes behind; in another thread it goes on to its end.
        self._worker = ThreadPoolExecutor(1, "hup-spark")
        self._is_ours = False
        future = self._worker.submit(self._open, master, folder, settings)
        try:
            future.result()
        except BaseException:
            wait([future])
            self.close()
            raise

    def _open(self, master: str | None, folder: Path, settings: Mapping[str, str]) -> None:
        try:
            from pyspark import SparkContext
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise HupError(INSTALL) from error
        if os.environ.get("SPARK_REMOTE") or os.environ.get("SPARK_CONNECT_MODE_ENABLED"):
            raise HupError(
                "HUP cannot run through Spark Connect (SPARK_REMOTE is set). Run it by spark-submit instead."
            )
        context = SparkContext._active_spark_context
        if context is None:
            self.spark = _start(master, folder, settings)
            self._is_ours = True
        else:
            if master is not None and context.master != master:
                raise HupError(
                    f"Spark runs already in this process, on {context.master} rather than {master}. "
                    "Leave the master out, or stop that session first."
                )
            self.spark = SparkSession.builder.getOrCreate().newSession()
        _configure(self.spark, settings)
        self.whole_files = self.spark.newSession()
        _configure(self.whole_files, {**settings, **_WHOLE_FILES})
        context, tag = self.spark.sparkContext, f"hup-{os.getpid()}-{id(self)}"
        context.addJobTag(tag)
        self._cancel = context.cancelAllJobs if self._is_ours else lambda: context.cancelJobsWithTag(tag)

    def run(self, doing: str, work: Callable[[], Result]) -> Result:
        """Work in another thread: this one stays free to notice Ctrl-C and to end what Spark is doing.

        Raises
        ------
        HupError
            For every error of Spark: one line that begins with what was being done.
        """

        def told() -> Result:
            with in_one_line(doing):
                return work()

        future = self._worker.submit(told)
        try:
            return future.result()
        except KeyboardInterrupt:
            # More than once: work between two jobs has none to cancel, and begins the next.
            while not future.done():
                with suppress(Exception):
                    self._cancel()
                wait([future], timeout=0.2)
            raise

    def close(self) -> None:
        """Stop the session if it is ours."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        # Whatever goes wrong now must not hide what ended the work.
        with suppress(Exception):
            if self._is_ours:
                self.spark.stop()


def _configure(spark: Any, settings: Mapping[str, str]) -> None:
    for name, value in {**_SETTINGS, **settings}.items():
        if spark.conf.isModifiable(name):
            spark.conf.set(name, value)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)


def _start(master: str | None, folder: Path, settings: Mapping[str, str]) -> Any:
    from pyspark.sql import SparkSession

    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "spark.log"
    is_local = not _is_submitted() if master is None else master.startswith("local")
    builder = SparkSession.builder.appName("hup").config(map={**(_local_start(folder) if is_local else {}), **settings})
    with _workers_run_this_python(), _errors_into(log):
        try:
            spark = (builder if master is None else builder.master(master)).getOrCreate()
        except Exception as error:
            raise HupError(_why_not(error, log, master)) from error
        spark.sparkContext.setLogLevel("ERROR")
    return spark


def _is_submitted() -> bool:
    """Whether a launcher or the installation says where to run."""
    home = os.environ.get("SPARK_CONF_DIR") or os.path.join(os.environ.get("SPARK_HOME", ""), "conf")  # noqa: PTH118
    return "PYSPARK_GATEWAY_PORT" in os.environ or Path(home, "spark-defaults.conf").is_file()


def _local_start(folder: Path) -> dict[str, str]:
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.maxResultSize": "0",
        # Java takes it when needed; half of the memory is DuckDB's. Its own default, 1 GB, is little for wide files.
        "spark.driver.memory": f"{machine_memory_bytes() // 4 >> 20}m",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }


@contextmanager
def _workers_run_this_python() -> Iterator[None]:
    """Have workers run the Python that runs here rather than the first in the path, unless the user chose one."""
    chosen = {"PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"}.intersection(os.environ)
    if not chosen and not _is_submitted():
        os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        yield
    finally:
        if not chosen:
            os.environ.pop("PYSPARK_PYTHON", None)


@contextmanager
def _errors_into(log: Path) -> Iterator[None]:
    """Let the Java process, which inherits the error stream, write into a file: what it says is not for people."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _why_not(error: Exception, log: Path, master: str | None) -> str:
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else shutil.which("java")
    if java is None or not Path(java).is_file():
        return _JAVA.format(found=f"; there is none in JAVA_HOME ({home})" if home else "; none was found")
    said = log.read_text(errors="replace") if log.is_file() else ""
    if "UnsupportedClassVersionError" in said or "Unrecognized option: --add-modules" in said:
        return _JAVA.format(found=f"; {java} is older")
    reason = plain(str(error))
    if "JAVA_GATEWAY_EXITED" in reason:
        lines = [line for line in said.splitlines() if line.strip()]
        reason = lines[-1] if lines else reason
    return f"Spark did not start{f' on {master}' if master else ''}: {reason}"
