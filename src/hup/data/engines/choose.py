"""The engine by its name."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.engine import Engine
from hup.errors import HupError

EngineName = Literal["duckdb", "spark"]


def open_engine(
    name: EngineName, work: Path, memory_limit: str | None, spark_master: str | None
) -> AbstractContextManager[Engine]:
    """Open an engine; use it as a context manager.

    Parameters
    ----------
    name : {"duckdb", "spark"}
        Which one.
    work : Path
        For what it keeps on disk.
    memory_limit : str, optional
        For DuckDB.
    spark_master : str, optional
        For Spark.

    Raises
    ------
    HupError
        If an option is for the other engine, or the engine cannot be had.
    """
    if name == "spark":
        from hup.data.engines.spark_engine import SparkEngine

        if memory_limit is not None:
            raise HupError("--memory-limit is for DuckDB; Spark takes spark.driver.memory and spark.executor.memory.")
        return SparkEngine(spark_master, work)
    if spark_master is not None:
        raise HupError("--spark-master is for --engine spark; DuckDB runs in this process.")
    return DuckDBEngine(work / "spill", memory_limit)
