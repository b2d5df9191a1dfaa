"""Files of tables and an engine to read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.reader import Dialect, TableSource
from hup.data.log_source import find_sources
from hup.data.progress import Progress


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(tmp_path / "spill", "500MB") as engine:
        yield engine


@pytest.fixture
def as_source():
    """Makes a source of files, folders or globs."""

    def make(*paths: Path) -> TableSource:
        return TableSource(files=tuple(find_sources(list(paths), Path("nowhere"), lambda note: None)))

    return make


@pytest.fixture
def read_rows(engine, as_source):
    """Reads files, or another source, and gives rows as dicts, sorted by place, and the raw table."""
    default = engine

    def read(paths, columns, dialect=None, progress=None, engine=default):
        paths = [paths] if isinstance(paths, Path) else paths
        source = paths if isinstance(paths, TableSource) else as_source(*paths)
        raw = engine.reader.read(source, dialect or Dialect(), columns, progress or Progress())
        engine.create_table("rows", raw.typed(lambda _types: "SELECT * FROM raw_rows"))
        rows = engine.collect("SELECT * FROM rows ORDER BY hup_file, hup_row")
        engine.drop("rows")
        return rows.to_pylist(), raw

    return read


class Told(Progress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.bytes = 0

    def advance(self, amount: int) -> None:
        self.bytes += amount


@pytest.fixture
def told():
    return Told()
