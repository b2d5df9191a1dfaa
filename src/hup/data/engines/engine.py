"""What preparation asks of an engine, and how it names what is to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.sources import SourceFile

PLACE_COLUMNS = ("hup_file", "hup_row", "hup_problem", "hup_text")


@dataclass(frozen=True)
class Dialect:
    """How delimited text is written.

    Attributes
    ----------
    delimiter : str
        One character between fields.
    header : tuple of str, optional
        Names of the columns, where the files have no header line.
    """

    delimiter: str = ","
    header: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TableSource:
    """Where event rows are: local files, paths that only the engine knows, or a query.

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
    """

    files: tuple[SourceFile, ...] = ()
    uris: tuple[str, ...] = ()
    query: str | None = None
    database: Path | None = None


@dataclass(frozen=True)
class RawTable:
    """Rows as the source has them, and where each stands.

    Attributes
    ----------
    table : Table
        The wanted columns under their own names and types (text formats: all string), and ``hup_file`` int32 (index
        into `files`), ``hup_row`` int64 (1-based line or row in its file; null for a query), ``hup_problem`` string
        (why the record does not parse; null if it does), ``hup_text`` string (such a record's raw text).
    files : tuple of str
        Names of the files.
    sizes : tuple of int
        Their bytes.
    file_rejects : list of FileReject
        Empty and broken-off files; complete after `table` was read.
    """

    table: ir.Table
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    file_rejects: list[FileReject] = field(default_factory=list)


class Engine(Protocol):
    """What preparation asks of an engine; expressions themselves do not know which one runs them."""

    def columns(self, source: TableSource, dialect: Dialect) -> dict[str, dt.DataType]:
        """Tell the columns that `source` has and their types; of text formats all are strings."""
        ...

    def read(self, source: TableSource, dialect: Dialect, columns: Sequence[str], progress: Progress) -> RawTable:
        """Give the rows of `source`, with the wanted `columns`; the table may be read once."""
        ...

    def register(self, name: str, data: pa.Table | pa.RecordBatchReader) -> ir.Table:
        """Make Arrow data readable under `name`; a reader can be read once."""
        ...

    def materialise(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep its rows under `name`, in place of what had that name."""
        ...

    def view(self, name: str, expression: ir.Table) -> ir.Table:
        """Give `expression` the `name`; it is computed whenever it is read.

        What is built on the name is written, and thus planned, without the whole expression in it.
        """
        ...

    def drop(self, name: str) -> None:
        """Forget what is registered or kept under `name`, and free its memory and disk."""
        ...

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute `expression` and yield its rows in order, in bounded memory."""
        ...

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute `expression` into memory."""
        ...
