"""Rows of tables as they are read: from where, with which places, and typed by one SQL statement wherever they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hup.data.progress import Progress
from hup.data.rejects import FileReject

if TYPE_CHECKING:
    from hup.data.engines.frames import Frame

RAW_TEXT_CHARACTERS = 1_000
#: Problem of a line without anything; such lines say nothing that could be lost.
EMPTY_LINE = "empty line"
COMPRESSED = (".gz", ".zst")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_PLACE_FIELDS = [
    pa.field("hup_file", pa.int32()),
    pa.field("hup_row", pa.int64()),
    pa.field("hup_problem", pa.string()),
    pa.field("hup_text", pa.string()),
]
PLACE_COLUMNS = tuple(column.name for column in _PLACE_FIELDS)
#: Writes a SELECT over ``raw_rows``, given the SQL types of its columns besides those of places.
WritesSelect = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    `name` is relative to the folder that all inputs have in common and lacks ``.gz``/``.zst``, so that it depends
    neither on where the inputs lie nor on how they are packed.
    """

    path: Path
    name: str
    bytes: int


def is_uri(text: str) -> bool:
    """Whether `text` is a place that only Spark knows, such as ``s3a://bucket/logs``, rather than a local path."""
    return _SCHEME.match(text) is not None


@dataclass(frozen=True)
class Dialect:
    """How text is written.

    Attributes
    ----------
    delimiter : str
        Between fields of delimited text.
    header : tuple of str, optional
        Names of the columns, where the files have no header line.
    encoding : str
        Its usual name.
    nested : tuple of str
        Columns of JSON lines that may have lists and objects, which are given as JSON; elsewhere they are a problem.
    """

    delimiter: str = ","
    header: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    nested: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSource:
    """Where event rows are: local files, paths that only the engine knows, a query, or a table in memory.

    Attributes
    ----------
    files : tuple of SourceFile
        Local files.
    uris : tuple of str
        Files, folders and globs that Spark knows, such as ``s3a://bucket/events/``.
    query : str, optional
        SQL; on DuckDB over `database` or over files that it names itself.
    database : Path, optional
        A DuckDB file, opened read-only.
    frame : Frame, optional
        A table in memory, whose rows are read once.
    """

    files: tuple[SourceFile, ...] = ()
    uris: tuple[str, ...] = ()
    query: str | None = None
    database: Path | None = None
    frame: Frame | None = None


@dataclass(frozen=True)
class RawTable:
    """Rows as the source has them, and where each stands.

    Attributes
    ----------
    types : tuple of dict of str to str
        SQL types of the wanted columns, for each set of files in which they are the same; of text formats all VARCHAR.
    typed : callable
        Takes what writes a SELECT over ``raw_rows`` that treats each row for itself, given their types; what it writes
        for any of `types` must have columns of the same types. Gives SQL by which the engine has all rows; these may be
        read once. ``raw_rows`` has the wanted columns under their own names and types, and ``hup_file`` int32
        (index into `files`), ``hup_row`` int64 (1-based line or row in its file; null for a query), ``hup_problem``
        string (why the record does not parse; null if it does), ``hup_text`` string (such a record's raw text).
    files : tuple of str
        Names of the files.
    sizes : tuple of int
        Their bytes.
    file_rejects : list of FileReject
        Empty and broken-off files; complete after the rows were read.
    """

    types: tuple[dict[str, str], ...]
    typed: Callable[[WritesSelect], str]
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    file_rejects: list[FileReject] = field(default_factory=list)

    def kinds(self, name: str) -> tuple[str, ...]:
        """List the types that the column `name` has in any of the files."""
        return tuple(dict.fromkeys(types[name] for types in self.types))


class Reader(Protocol):
    """What reads tables for the engine."""

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, str]:
        """Tell the columns that `source` has and their SQL types; of text formats all are VARCHAR."""
        ...

    def read(self, source: TableSource, dialect: Dialect, columns: Sequence[str], progress: Progress) -> RawTable:
        """Give the rows of `source`, with the wanted `columns`."""
        ...


def quoted_name(name: str) -> str:
    """Write `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Write `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def select(columns: Mapping[str, str], rows: str) -> str:
    """Write a SELECT of `columns`, SQL by name, over `rows`."""
    return f"SELECT {', '.join(f'{value} AS {quoted_name(name)}' for name, value in columns.items())} FROM {rows}"


def sql_types(schema: pa.Schema) -> dict[str, str]:
    """Give the SQL types that DuckDB takes Arrow columns for, by name."""
    with local_duckdb() as connection:
        connection.register("raw_rows", schema.empty_table())
        return {name: kind for name, kind, *_ in connection.execute("DESCRIBE raw_rows").fetchall()}


def common_types(schemas: Sequence[pa.Schema]) -> dict[str, str]:
    """Give the columns of all together, with the SQL types that DuckDB takes for the types of each."""
    with local_duckdb() as connection:
        different = list(dict.fromkeys(schemas))
        for number, schema in enumerate(different):
            connection.register(f"part_{number}", schema.empty_table())
        parts = (f"SELECT * FROM part_{number}" for number in range(len(different)))
        columns = connection.execute(f"DESCRIBE {' UNION ALL BY NAME '.join(parts)}").fetchall()
    return {name: kind for name, kind, *_ in columns}


def local_duckdb() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in this process, on one of its cores."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def with_place_fields(fields: Sequence[pa.Field]) -> pa.Schema:
    """Give `fields` and those of places, which come last."""
    return pa.schema([*fields, *_PLACE_FIELDS])


def good_rows(columns: Sequence[pa.Array], file: int, rows: npt.NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    """Make a batch of `schema` of rows that parse.

    Parameters
    ----------
    columns : sequence of Array
        Values; their types are those of `schema`.
    file : int
        Index of the file.
    rows : array of int64
        1-based line or row of each.
    schema : Schema
        As from `with_place_fields`.
    """
    nothing = pa.nulls(len(rows), pa.string())
    return pa.record_batch([*columns, _repeated(file, len(rows)), pa.array(rows), nothing, nothing], schema=schema)


def problem_rows(
    reasons: Sequence[str] | pa.StringArray,
    texts: Sequence[str | None] | pa.StringArray,
    file: int,
    rows: npt.NDArray[np.int64],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Make a batch of `schema` of rows that do not parse: values are null, `reasons` and raw `texts` are given."""
    n = len(rows)
    values = [pa.nulls(n, field.type) for field in list(schema)[: -len(_PLACE_FIELDS)]]
    what = [pa.array(column, pa.string()) for column in (reasons, texts)]
    return pa.record_batch([*values, _repeated(file, n), pa.array(rows), *what], schema=schema)


def _repeated(file: int, n: int) -> pa.Int32Array:
    return pa.array(np.full(n, file, np.int32))


def shown(raw: bytes) -> str:
    """Give the beginning of raw text for ``hup_text``."""
    # No character takes more than four bytes.
    return raw[: 4 * RAW_TEXT_CHARACTERS].decode(errors="replace")[:RAW_TEXT_CHARACTERS]
