"""Delimited text: what headers say, and lines as Arrow batches."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from hup.data.engines.csv_parser import CsvParser, grammar, split_records
from hup.data.engines.plain_text import check_delimiter, plain_blocks, plain_delimiter, plain_lines
from hup.data.engines.reader import Dialect, SourceFile, with_place_fields
from hup.data.engines.table_files import EMPTY, NO_ROWS, check_columns, first_lines
from hup.data.line_blocks import utf8_problem
from hup.data.rejects import FileReject
from hup.errors import HupError

_OTHER_DELIMITERS = "\t;|,"


@dataclass(frozen=True)
class CsvHead:
    """What the beginning of a file says.

    Attributes
    ----------
    names : tuple of str
        Of its columns; empty where there is no header.
    reject : FileReject or None
        Why the file has no rows.
    """

    names: tuple[str, ...]
    reject: FileReject | None


def csv_head(file: SourceFile, dialect: Dialect) -> CsvHead:
    """Read the header of `file`, or take that of `dialect`.

    Raises
    ------
    HupError
        If the delimiter is none, or the header is not UTF-8 text.
    """
    check_delimiter(dialect.delimiter)
    lines, broken = first_lines(file.path, 2)
    lines = plain_lines(lines, dialect)
    if dialect.header is not None:
        names = dialect.header
        row = 0
    else:
        names = _names(file, lines[0], plain_delimiter(dialect)) if lines else ()
        row = 1
    if len(lines) > row:
        return CsvHead(names, None)
    reason = broken or (EMPTY if not lines else NO_ROWS)
    return CsvHead(names, FileReject(file.name, None, reason))


def _names(file: SourceFile, line: bytes, delimiter: str) -> tuple[str, ...]:
    if line.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise HupError(f"{file.path} is packed, but not named so. Let its name end in .gz or .zst.")
    if utf8_problem(line) is not None or b"\0" in line:
        raise HupError(
            f"{file.path}, line 1: the header is not UTF-8 text. State its encoding in the mapping (encoding = "
            '"cp1252"), or, if the file has no header, the names of its columns (header = [...]).'
        )
    try:
        return tuple(next(csv.reader([line.decode()], delimiter=delimiter), ()))
    except csv.Error as error:
        raise HupError(
            f"{file.path}, line 1: the header cannot be read ({error}). Do lines end in a carriage return alone, as on "
            "old Macs? Convert them: tr '\\r' '\\n' < OLD > NEW."
        ) from None


def _check_columns(file: SourceFile, head: CsvHead, wanted: Sequence[str], delimiter: str) -> None:
    """Refuse a file whose header lacks wanted columns; says so where another delimiter seems to be meant."""
    hint = ""
    if len(head.names) == 1:
        others = [mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in head.names[0]]
        hint = f" Its delimiter may be {others[0]!r} rather than {delimiter!r}." if others else ""
    check_columns(str(file.path), head.names, wanted, hint)


@dataclass(frozen=True)
class CsvRows:
    """Wanted columns of delimited files as text.

    A row with another number of fields than the header, an empty line, an open quote or a wanted value that is not
    UTF-8 becomes a problem row. Empty values are null unless quoted. ``hup_row`` is the line on which a record begins,
    also where quoted values hold newlines (see `split_records`).

    Attributes
    ----------
    dialect : Dialect
        How they are written.
    names : dict of int to tuple of str
        Columns of each file that has rows, by its number.
    wanted : tuple of str
        Columns to give; each file has each of them.
    header_lines : int
        Lines at the beginning of each file that are left out: 0 or 1.
    """

    dialect: Dialect
    names: dict[int, tuple[str, ...]]
    wanted: tuple[str, ...]
    header_lines: int

    @property
    def files(self) -> list[int]:
        """Numbers of the files that have rows."""
        return list(self.names)

    @property
    def schema(self) -> pa.Schema:
        """Wanted columns, all string, and the place of each row."""
        return with_place_fields([pa.field(name, pa.string()) for name in self.wanted])

    def sql(self, table: str) -> str:
        """Give SQL for the rows out of a table of `schema`."""
        return f"SELECT * FROM {table}"

    def parts(self, file: int, blocks: Iterator[bytes | None]) -> Iterator[Callable[[], list[pa.RecordBatch]]]:
        """Yield, for some lines of a file each, what makes batches of `schema`; such may run side by side.

        Parameters
        ----------
        file : int
            Number of the file.
        blocks : iterator of bytes or None
            All its lines, as from `whole_lines`.
        """
        names = self.names[file]
        delimiter = plain_delimiter(self.dialect)
        rules = grammar(delimiter, len(names))
        columns = [names.index(name) for name in self.wanted]
        parser = CsvParser(file, delimiter, rules, columns, self.schema, self.dialect.delimiter)
        blocks = plain_blocks(blocks, self.dialect)
        if self.header_lines:
            blocks = _after_first_line(blocks)
        for records in split_records(blocks, 1 + self.header_lines, rules):
            yield partial(parser.batches, records)


def _after_first_line(blocks: Iterator[bytes | None]) -> Iterator[bytes | None]:
    first = next(blocks, None)
    if first is not None and b"\n" in first:
        yield first.partition(b"\n")[2]
    yield from blocks


def csv_rows(
    files: Sequence[SourceFile], dialect: Dialect, wanted: Sequence[str]
) -> tuple[CsvRows, list[FileReject | None]]:
    """Give the rows of `files`, and why those have none that have none.

    Raises
    ------
    HupError
        If a file lacks a column, or as `csv_head`.
    """
    heads = [csv_head(file, dialect) for file in files]
    for file, head in zip(files, heads, strict=True):
        if head.names:
            _check_columns(file, head, wanted, dialect.delimiter)
    names = {number: head.names for number, head in enumerate(heads) if head.reject is None}
    rows = CsvRows(dialect, names, tuple(wanted), 1 if dialect.header is None else 0)
    return rows, [head.reject for head in heads]
