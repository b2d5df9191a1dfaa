"""Spark, once for all tests of a process: it takes seconds to start."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """An engine whose tables Spark reads on two cores; without PySpark or Java tests are skipped, as pytest tells."""
    pytest.importorskip("pyspark", reason="no PySpark: make EXTRAS='dev spark' venv")
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        pytest.skip("no Java: Spark needs 17 or 21")
    from hup.data.engines.duckdb_engine import DuckDBEngine
    from hup.data.engines.spark_reader import SparkReader

    folder = tmp_path_factory.mktemp("spark")
    settings = {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "4"}
    with DuckDBEngine(folder / "spill") as engine, SparkReader(engine, "local[2]", folder, settings) as engine.reader:
        yield engine
