"""Starting Spark, or taking the session that is there, with the settings on which results depend."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hup.data.engines.duckdb_engine import machine_memory_bytes
from hup.data.engines.spark_errors import plain, require_pyspark
from hup.errors import HupError

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
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
}


@dataclass(frozen=True)
class OpenSession:
    """A Spark session, whether it is ours to stop, and the file its Java process writes its log to (ours only)."""

    spark: Any
    is_ours: bool
    log: Path | None


def open_session(master: str | None, folder: Path, settings: Mapping[str, str]) -> OpenSession:
    """Take the session of this process, or start one.

    Parameters
    ----------
    master : str, optional
        As in ``spark-submit --master``; by default what ``spark-submit`` or ``spark-defaults.conf`` say, else
        ``local[*]``.
    folder : Path
        For spilled data and the log, on a local master.
    settings : mapping
        More settings of Spark, by name; ``spark.driver.memory`` is half of the memory on a local master, else Spark's.

    Raises
    ------
    HupError
        If PySpark or Java are missing, if Spark does not start, or runs on another master.
    """
    require_pyspark()
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if os.environ.get("SPARK_REMOTE") or os.environ.get("SPARK_CONNECT_MODE_ENABLED"):
        raise HupError("HUP cannot run through Spark Connect (SPARK_REMOTE is set). Run it by spark-submit instead.")
    context = SparkContext._active_spark_context
    if context is not None:
        if master is not None and context.master != master:
            raise HupError(
                f"Spark runs already in this process, on {context.master} rather than {master}. "
                "Leave the master out, or stop that session first."
            )
        # A session of our own on the same context: settings and names of tables are not those of the caller.
        spark = SparkSession.builder.getOrCreate().newSession()
        _configure(spark, settings)
        return OpenSession(spark, False, None)
    spark, log = _start(master, folder, settings)
    _configure(spark, settings)
    return OpenSession(spark, True, log)


def _configure(spark: Any, settings: Mapping[str, str]) -> None:
    conf, context = spark.conf, spark.sparkContext
    own = dict(_SETTINGS)
    if _is_local(context.master):
        # 200, the default, costs more than small logs take; more than the cores, so that parts fit into memory.
        own["spark.sql.shuffle.partitions"] = str(max(8, 4 * context.defaultParallelism))
    # Files are split by the number of cores; where cores come and go, two reads must still agree on the splits.
    own["spark.sql.files.minPartitionNum"] = str(context.defaultParallelism)
    for name, value in {**own, **settings}.items():
        if conf.isModifiable(name):
            conf.set(name, value)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)


def _is_local(master: str) -> bool:
    return master.startswith("local")


def _start(master: str | None, folder: Path, settings: Mapping[str, str]) -> tuple[Any, Path]:
    from pyspark.sql import SparkSession

    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "spark.log"
    builder = SparkSession.builder.appName("hup")
    if master is not None:
        builder = builder.master(master)
    if _is_local(master or "") or (master is None and not _is_submitted()):
        for name, value in _local_start(folder).items():
            builder = builder.config(name, value)
    for name, value in settings.items():
        builder = builder.config(name, value)
    with _workers_run_this_python(), _errors_into(log):
        try:
            spark = builder.getOrCreate()
        except Exception as error:
            raise HupError(_why_not(error, log, master)) from error
        spark.sparkContext.setLogLevel("ERROR")
    return spark, log


def _is_submitted() -> bool:
    """Whether a launcher or the installation says where to run."""
    home = os.environ.get("SPARK_CONF_DIR") or os.path.join(os.environ.get("SPARK_HOME", ""), "conf")  # noqa: PTH118
    return "PYSPARK_GATEWAY_PORT" in os.environ or Path(home, "spark-defaults.conf").is_file()


def _local_start(folder: Path) -> dict[str, str]:
    chosen = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.maxResultSize": "0",
        # Java takes it when needed. Its own default, 1 GB, is little for what is sorted here.
        "spark.driver.memory": f"{machine_memory_bytes() // 2 >> 20}m",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    return chosen


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
