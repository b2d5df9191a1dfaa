"""Delimited text as records and Arrow batches.

A record is usually a line, but a quoted value may hold newlines. PyArrow parses records; what it cannot tell is told
record by record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hup.data.engines.reader import EMPTY_LINE, good_rows, problem_rows, shown
from hup.data.line_blocks import MAX_LINE_BYTES, is_utf8, too_long, utf8_problem

CARRIAGE_RETURN = "carriage return within the line"
MAX_RECORD_BYTES = 1 << 20
UNCLOSED = "quote is not closed"
_NEWLINE, _QUOTE = ord("\n"), ord('"')


@dataclass(frozen=True)
class Grammar:
    """Patterns of records with `n_fields` fields.

    Attributes
    ----------
    line
        A record of one line with any number of fields, of which each quoted one is closed.
    record
        A record of `n_fields` fields, perhaps of several lines; after a closing quote its field ends.
    field
        One field.
    """

    n_fields: int
    line: re.Pattern[bytes]
    record: re.Pattern[bytes]
    field: re.Pattern[bytes]


def grammar(delimiter: str, n_fields: int) -> Grammar:
    """Give the patterns for `delimiter`; quotes inside quotes are doubled, those inside other values are plain text."""
    mark = re.escape(delimiter.encode())
    # Possessive, so that a doubled quote is never taken for a closing one and nothing is tried twice.
    quoted = rb'"[^"]*+(?:""[^"]*+)*+"'
    plain = rb'(?!")[^%b\r\n]*+' % mark
    field = rb"(?:%b[^%b\r\n]*+|%b)" % (quoted, mark, plain)
    strict = rb"(?:%b|%b)" % (quoted, plain)
    return Grammar(
        n_fields,
        line=re.compile(rb"%b(?:%b%b)*+" % (field, mark, field)),
        record=re.compile(rb"%b(?:%b%b){%d}" % (strict, mark, strict, n_fields - 1)),
        field=re.compile(field),
    )


@dataclass(frozen=True)
class Records:
    """Whole records one after the other.

    Attributes
    ----------
    text : bytes
        Each record is followed by a newline.
    ends : array of int64
        Index of that newline in `text`, for each record.
    lines : array of int64
        1-based line on which each record begins.
    unclosed : array of int64
        Indices of records that open a quote and do not close it.
    """

    text: bytes
    ends: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    unclosed: npt.NDArray[np.int64]


def split_records(blocks: Iterable[bytes | None], first_line: int, rules: Grammar) -> Iterator[Records | int]:
    """Join the lines that belong to one record.

    A line in which every quoted field is closed is a record. One that leaves a quote open goes on to the next line
    with an odd number of quotes, if together they are a record of `n_fields` fields and at most `MAX_RECORD_BYTES`;
    otherwise it is a record for itself, noted as unclosed. So a stray quote costs its own line, not what follows.

    Parameters
    ----------
    blocks : iterable of bytes or None
        As from `whole_lines`.
    first_line : int
        Number of the first line.
    rules : Grammar
        How fields are written.

    Yields
    ------
    Records or int
        The number of a line that is too long, where one was left out.
    """
    line = first_line
    waiting = b""
    for block in blocks:
        if block is not None:
            text = waiting + block + b"\n"
            records, waiting = _split(text, line, rules, final=False)
            line += text.count(b"\n") - waiting.count(b"\n")
            yield records
            continue
        if waiting:
            yield _split(waiting, line, rules, final=True)[0]
            line += waiting.count(b"\n")
            waiting = b""
        yield line
        line += 1
    if waiting:
        yield _split(waiting, line, rules, final=True)[0]


def _split(text: bytes, line: int, rules: Grammar, final: bool) -> tuple[Records, bytes]:
    """Split whole lines, the first of which is number `line`, and give back those whose record may go on."""
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == _NEWLINE)
    n = len(ends)
    if b'"' not in text:
        return Records(text, ends, np.arange(line, line + n), np.empty(0, np.int64)), b""
    quotes = np.searchsorted(np.flatnonzero(characters == _QUOTE), ends)
    odd = np.flatnonzero(np.diff(quotes, prepend=0) % 2)
    inner, unclosed, n = _join_lines(text, ends, odd, rules, final)
    first = np.ones(n, bool)  # lines on which records begin
    for begin, end in inner:
        first[begin + 1 : end + 1] = False
    begins = np.flatnonzero(first)
    lasts = np.append(begins[1:], n) - 1
    used = int(ends[n - 1]) + 1 if n else 0
    bad = np.searchsorted(begins, np.array(unclosed, np.int64))
    return Records(text[:used], ends[lasts] if n else ends[:0], begins + line, bad), text[used:]


def _join_lines(
    text: bytes, ends: npt.NDArray[np.int64], odd: npt.NDArray[np.int64], rules: Grammar, final: bool
) -> tuple[list[tuple[int, int]], list[int], int]:
    """Give the records of several lines (first and last line), the unclosed lines, and the number of lines settled."""
    joined: list[tuple[int, int]] = []
    unclosed: list[int] = []
    place = 0
    while place < len(odd):
        line = int(odd[place])
        begin = int(ends[line - 1]) + 1 if line else 0
        place += 1
        if rules.line.fullmatch(text[begin : ends[line]].removesuffix(b"\r")):
            continue
        if place < len(odd):
            close = int(odd[place])
            size = int(ends[close]) - begin
            if size <= MAX_RECORD_BYTES and rules.record.fullmatch(text[begin : ends[close]].removesuffix(b"\r")):
                joined.append((line, close))
                place += 1
                continue
        elif not final and len(text) - begin <= MAX_RECORD_BYTES:
            return joined, unclosed, line
        unclosed.append(line)
    return joined, unclosed, len(ends)


@dataclass(frozen=True)
class CsvParser:
    """Parses records of one file; safe to use from several threads at once.

    Attributes
    ----------
    file : int
        Index of the file, for ``hup_file``.
    delimiter : str
        One character.
    rules : Grammar
        How records of this file are written.
    columns : list of int
        Indices of the wanted fields.
    schema : Schema
        Wanted columns, all string, and those of places.
    written : str
        The delimiter as the file has it, for people.
    """

    file: int
    delimiter: str
    rules: Grammar
    columns: list[int]
    schema: pa.Schema
    written: str

    def batches(self, records: Records | int) -> list[pa.RecordBatch]:
        """Give the good rows and, in a batch of their own, the bad ones; an int is a line that is too long."""
        if isinstance(records, int):
            line = np.array([records], np.int64)
            return [problem_rows([too_long(MAX_LINE_BYTES)], [None], self.file, line, self.schema)]
        problems = dict.fromkeys(records.unclosed.tolist(), UNCLOSED)
        problems |= dict.fromkeys(_empty_lines(records).tolist(), EMPTY_LINE)
        columns, kept = self._columns(records, problems)
        batches = []
        if len(kept):
            batches.append(good_rows(columns, self.file, records.lines[kept], self.schema))
        if problems:
            bad = sorted(problems)
            spans = _spans(records, np.array(bad))
            texts = [shown(records.text[begin:end].removesuffix(b"\r")) for begin, end in spans]
            texts = [text.replace(self.delimiter, self.written) for text in texts]
            reasons = [problems[record] for record in bad]
            batches.append(problem_rows(reasons, texts, self.file, records.lines[bad], self.schema))
        return batches

    def _columns(self, records: Records, problems: dict[int, str]) -> tuple[list[pa.Array], npt.NDArray[np.int64]]:
        """Parse what has no problem yet, note problems, and give values and indices of the other records."""
        if is_utf8(records.text):
            kept = _others(records, problems)
            values, wrong = self._parse(_text_of(records, kept))
            if len(values) + len(wrong) == len(kept) and not self._doubtful(records, kept):
                problems |= {int(kept[row]): self._wrong_number(n) for row, n in wrong.items()}
                as_read = pc.CastOptions(pa.string(), allow_invalid_utf8=True)  # it is known to be UTF-8
                return [column.cast(options=as_read) for column in _arrays(values)], _others(records, problems)
        self._inspect(records, problems)
        kept = _others(records, problems)
        values, _ = self._parse(_text_of(records, kept))
        columns = _arrays(values)
        for name, column in zip(self.schema.names, columns, strict=False):
            problems |= {int(kept[row]): f"{name} is not UTF-8: {what}" for row, what in _not_utf8(column).items()}
        good = pa.array([record not in problems for record in kept.tolist()], pa.bool_())
        return [column.filter(good).cast(pa.string()) for column in columns], _others(records, problems)

    def _parse(self, text: bytes) -> tuple[pa.Table, dict[int, int]]:
        """Give wanted fields, as bytes, of records with the right number, and that number for the other records."""
        names = [str(index) for index in range(self.rules.n_fields)]
        wanted = [str(index) for index in self.columns]
        types = dict.fromkeys(wanted, pa.binary())
        if not text:
            return pa.table({name: pa.array([], pa.binary()) for name in wanted}), {}
        wrong: dict[int, int] = {}

        def refuse(row: Any) -> str:
            wrong[row.number - 1] = row.actual_columns
            return "skip"

        table = pacsv.read_csv(
            pa.BufferReader(text),
            # One block, one thread: rows are only numbered without threads.
            pacsv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            pacsv.ParseOptions(delimiter=self.delimiter, ignore_empty_lines=False, invalid_row_handler=refuse),
            pacsv.ConvertOptions(
                column_types=types,
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table, wrong

    def _doubtful(self, records: Records, kept: npt.NDArray[np.int64]) -> bool:
        """Whether the number of rows may be right although PyArrow saw other records than we do."""
        if b'"' not in records.text or not len(kept):
            return False
        # An open quote takes in the next record, and a lone carriage return splits one: they might cancel.
        if records.text.count(b"\r") != records.text.count(b"\r\n"):
            return True
        # Behind the last record, there is nothing that an open quote could take in.
        [(begin, end)] = _spans(records, kept[-1:])
        return not self._well_formed(records.text[begin:end])

    def _well_formed(self, record: bytes) -> bool:
        record = record.removesuffix(b"\r")
        return bool(self.rules.line.fullmatch(record) or self.rules.record.fullmatch(record))

    def _inspect(self, records: Records, problems: dict[int, str]) -> None:
        """Note the records that PyArrow would not see as one row with the right number of fields."""
        kept = _others(records, problems)
        for record, (begin, end) in zip(kept.tolist(), _spans(records, kept), strict=True):
            text = records.text[begin:end].removesuffix(b"\r")
            if not self._well_formed(text):
                without = text.replace(b"\r", b"")
                problems[record] = CARRIAGE_RETURN if self._well_formed(without) else UNCLOSED
            elif (n := self._n_fields(text)) != self.rules.n_fields:
                problems[record] = self._wrong_number(n)

    def _n_fields(self, record: bytes) -> int:
        n, place = 0, -1
        while place < len(record):
            field = self.rules.field.match(record, place + 1)
            n, place = n + 1, field.end() if field else len(record)
        return n

    def _wrong_number(self, n: int) -> str:
        return f"wrong number of fields: {n} instead of {self.rules.n_fields}"


def _arrays(table: pa.Table) -> list[pa.Array]:
    return [column.combine_chunks() for column in table.columns]


def _empty_lines(records: Records) -> npt.NDArray[np.int64]:
    sizes = np.diff(records.ends, prepend=-1) - 1
    characters = np.frombuffer(records.text, np.uint8)
    only_return = (sizes == 1) & (characters[records.ends - 1] == ord("\r"))
    return np.flatnonzero((sizes == 0) | only_return)


def _others(records: Records, problems: dict[int, str]) -> npt.NDArray[np.int64]:
    """Give the indices of records that have no problem."""
    good = np.ones(len(records.ends), bool)
    good[list(problems)] = False
    return np.flatnonzero(good)


def _spans(records: Records, chosen: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Give begin and end (its newline) of records in their text."""
    begins = np.concatenate([[0], records.ends[:-1] + 1])[chosen]
    return list(zip(begins.tolist(), records.ends[chosen].tolist(), strict=True))


def _text_of(records: Records, chosen: npt.NDArray[np.int64]) -> bytes:
    if len(chosen) == len(records.ends):
        return records.text
    # Runs of neighbours at once: usually, there are few gaps.
    breaks = np.flatnonzero(np.diff(chosen) > 1) + 1
    runs = [run for run in np.split(chosen, breaks) if len(run)]
    firsts = _spans(records, np.array([run[0] for run in runs], np.int64))
    lasts = _spans(records, np.array([run[-1] for run in runs], np.int64))
    return b"".join(records.text[first[0] : last[1] + 1] for first, last in zip(firsts, lasts, strict=True))


def _not_utf8(column: pa.BinaryArray) -> dict[int, str]:
    """Say which values are not UTF-8 and the first byte that shows it."""
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        problems = ((row, utf8_problem(value)) for row, value in enumerate(column.to_pylist()) if value is not None)
        return {row: f"byte 0x{problem[0]:02x}" for row, problem in problems if problem}
    return {}
