"""Where records of delimited text begin and end: usually at lines, but a quoted value may hold newlines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
