"""Delimited text as a stream of Arrow record batches, each row with its line."""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from hup.data.engines.csv_parser import CsvParser, Records, grammar, split_records
from hup.data.engines.reader import Dialect, SourceFile, with_place_fields
from hup.data.engines.table_files import EMPTY, NO_ROWS, check_columns, first_lines
from hup.data.line_blocks import MAX_LINE_BYTES, StreamBroken, utf8_problem, whole_lines
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.errors import HupError

Task = TypeVar("Task")
Result = TypeVar("Result")
_THREADS = max(1, min(4, os.cpu_count() or 1))
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
    if dialect.header is not None:
        names = dialect.header
        row = 0
    else:
        names = _names(file, lines[0], dialect.delimiter) if lines else ()
        row = 1
    if len(lines) > row:
        return CsvHead(names, None)
    reason = broken or (EMPTY if not lines else NO_ROWS)
    return CsvHead(names, FileReject(file.name, None, reason))


def check_delimiter(delimiter: str) -> None:
    """Refuse a delimiter that is not one plain character."""
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise HupError(f"Delimiter {delimiter!r} cannot separate fields. Expected one ASCII character.")


def _names(file: SourceFile, line: bytes, delimiter: str) -> tuple[str, ...]:
    if line.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise HupError(f"{file.path} is packed, but not named so. Let its name end in .gz or .zst.")
    if utf8_problem(line) is not None or b"\0" in line:
        raise HupError(
            f"{file.path}, line 1: the header is not UTF-8 text. Convert the file to UTF-8, or, if it has no header, "
            "give the names of its columns in the mapping (header = [...])."
        )
    try:
        return tuple(next(csv.reader([line.decode()], delimiter=delimiter), ()))
    except csv.Error as error:
        raise HupError(
            f"{file.path}, line 1: the header cannot be read ({error}). Do lines end in a carriage return alone, as on "
            "old Macs? Convert them: tr '\\r' '\\n' < OLD > NEW."
        ) from None


def check_csv_columns(file: SourceFile, head: CsvHead, wanted: Sequence[str], delimiter: str) -> None:
    """Refuse a file whose header lacks wanted columns; says so where another delimiter seems to be meant."""
    hint = ""
    if len(head.names) == 1:
        others = [mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in head.names[0]]
        hint = f" Its delimiter may be {others[0]!r} rather than {delimiter!r}." if others else ""
    check_columns(str(file.path), head.names, wanted, hint)


@dataclass
class CsvStream:
    """Reads wanted columns of delimited files as text, once, in order.

    A row with another number of fields than the header, an empty line, an open quote or a wanted value that is not
    UTF-8 becomes a problem row. Empty values are null unless quoted. ``hup_row`` is the line on which a record begins,
    also where quoted values hold newlines (see `split_records`).

    Attributes
    ----------
    files : sequence of SourceFile
        All files; ``hup_file`` is the index into it.
    heads : sequence of CsvHead
        Of each file; those rejected are not read.
    dialect : Dialect
        How they are written.
    wanted : sequence of str
        Columns to read; each file has each of them.
    progress : Progress
        Told the bytes read.
    file_rejects : list of FileReject
        Gets the compressed files that break off.
    """

    files: Sequence[SourceFile]
    heads: Sequence[CsvHead]
    dialect: Dialect
    wanted: Sequence[str]
    progress: Progress
    file_rejects: list[FileReject]

    @property
    def schema(self) -> pa.Schema:
        """Wanted columns, all string, and the place of each row."""
        return with_place_fields([pa.field(name, pa.string()) for name in self.wanted])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of `schema`."""
        for batches in in_order(lambda task: task[0].batches(task[1]), self._tasks()):
            yield from batches

    def _tasks(self) -> Iterator[tuple[CsvParser, Records | int]]:
        header_lines = 0 if self.dialect.header is not None else 1
        for number, (file, head) in enumerate(zip(self.files, self.heads, strict=True)):
            if head.reject is not None:
                self.progress.advance(file.bytes)
                continue
            rules = grammar(self.dialect.delimiter, len(head.names))
            columns = [head.names.index(name) for name in self.wanted]
            parser = CsvParser(number, self.dialect.delimiter, rules, columns, self.schema)
            blocks = self._blocks(file, header_lines)
            for records in split_records(blocks, 1 + header_lines, rules):
                yield parser, records

    def _blocks(self, file: SourceFile, header_lines: int) -> Iterator[bytes | None]:
        """Yield the lines after the header; of a file that breaks off, those before."""
        lines = 0
        try:
            for block in whole_lines(file.path, self.progress.advance, MAX_LINE_BYTES):
                before, lines = lines, lines + (1 if block is None else block.count(b"\n") + 1)
                if before >= header_lines:
                    yield block
                elif lines > header_lines and block is not None:
                    yield block.partition(b"\n")[2]
        except StreamBroken as broken:
            self.file_rejects.append(FileReject(file.name, lines + 1, str(broken)))


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Do the work on several tasks at once, and yield results in order."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hup-csv") as workers:
        for task in tasks:
            waiting.append(workers.submit(work, task))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
