"""Lines of JD logs as a stream of Arrow record batches.

Every line of every file gets a running number, the key of its session, and a place in the log, from which its tokens
count on; so one integer orders all tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hup.data.blocks import StreamBroken, read_blocks
from hup.data.manifest import Source
from hup.data.progress import Progress
from hup.data.sources import SourceFile

LINE_SCHEMA = pa.schema([("session", pa.int64()), ("place", pa.int64()), ("text", pa.large_string())])
MAX_LINE_BYTES = 64 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class FileReject:
    """Something wrong with a file rather than a line."""

    file: str
    line: int | None
    reason: str


@dataclass
class LineReader:
    """Reads the lines of `files`, once, in order.

    What is found on the way is complete when `batches` is exhausted.

    Attributes
    ----------
    first_session : list of int
        Running number of the first line of each file.
    lines : list of int
        Number of lines of each file.
    bad_sessions, bad_reasons
        Running numbers of lines that cannot be used, and why.
    file_rejects : list of FileReject
        Empty files and compressed files that break off.
    failure : BaseException or None
        What stopped `batches`, for callers whose engine hides it.
    """

    files: Sequence[SourceFile]
    progress: Progress
    first_session: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad_sessions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bad_reasons: list[pa.Array] = field(default_factory=list)
    file_rejects: list[FileReject] = field(default_factory=list)
    failure: BaseException | None = None
    _session: int = 0
    _bytes: int = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of `LINE_SCHEMA`; lines that are empty or not UTF-8 are left out and noted."""
        try:
            for file in self.files:
                self.first_session.append(self._session)
                yield from self._file_batches(file)
                self.lines.append(self._session - self.first_session[-1])
        except BaseException as failure:
            self.failure = failure
            raise

    def _file_batches(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        """Read one file; only whole lines are used of a compressed file that breaks off."""
        rest = b""
        begun = skipping = False
        try:
            for block in read_blocks(file.path, self.progress.advance):
                text = rest + block if begun else block.removeprefix(_BYTE_ORDER_MARK)
                begun = True
                if skipping:
                    _, newline, text = text.partition(b"\n")
                    skipping = not newline
                end = text.rfind(b"\n") + 1
                if end:
                    yield self._batch(text[: end - 1])
                rest = text[end:]
                if len(rest) > MAX_LINE_BYTES:
                    self._refuse_long_line()
                    rest, skipping = b"", True
        except StreamBroken as broken:
            line = self._session - self.first_session[-1] + 1
            self.file_rejects.append(FileReject(file.name, line, str(broken)))
            return
        if rest:
            yield self._batch(rest)
        if not begun:
            self.file_rejects.append(FileReject(file.name, None, "file is empty"))

    def _refuse_long_line(self) -> None:
        self.bad_sessions.append(np.array([self._session], np.int64))
        self.bad_reasons.append(pa.array([f"line is longer than {MAX_LINE_BYTES >> 20} MiB"]))
        self._session += 1

    def _batch(self, block: bytes) -> pa.RecordBatch:
        """Turn whole lines, joined by newlines, into a batch."""
        lines = _split_lines(block)
        sessions = np.arange(self._session, self._session + len(lines), dtype=np.int64)
        self._session += len(lines)
        reasons = _line_problems(lines, block)
        if reasons is not None:
            bad = reasons.is_valid().to_numpy(zero_copy_only=False)
            self.bad_sessions.append(sessions[bad])
            self.bad_reasons.append(reasons.drop_null())
            sessions, lines = sessions[~bad], lines.filter(pa.array(~bad))
        # Bytes so far: as a line has no more tokens than bytes and a newline, places in it added to this stay below
        # the next line's. Much cheaper than counting tokens.
        sizes = pc.binary_length(lines).to_numpy() + 1
        starts = self._bytes + np.cumsum(sizes) - sizes
        self._bytes += len(block) + 1
        text = lines.view(pa.large_string())
        return pa.record_batch([pa.array(sessions), pa.array(starts), text], schema=LINE_SCHEMA)


def _split_lines(block: bytes) -> pa.LargeBinaryArray:
    lines = pc.split_pattern(pa.array([block], pa.large_binary()), b"\n").values
    # Only where needed: the trim copies every line.
    if b"\r" in block or b" \n" in block or block.endswith(b" "):
        lines = _trim_right(lines)
    return lines


def _trim_right(lines: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    trimmed: pa.LargeBinaryArray = pc.replace_substring_regex(lines, rb"[ \r]+$", b"")
    return trimmed


def _line_problems(lines: pa.LargeBinaryArray, block: bytes) -> pa.StringArray | None:
    """Say for each line why it cannot be used (null: it can), or None if all can."""
    empty = pc.equal(pc.binary_length(lines), 0)
    reasons = pc.if_else(empty, "empty line", pa.scalar(None, pa.string()))
    if not _is_utf8(block):
        reasons = pc.coalesce(reasons, pa.array([_utf8_problem(line) for line in lines.to_pylist()], pa.string()))
    return reasons if reasons.null_count < len(reasons) else None


def _is_utf8(text: bytes) -> bool:
    return _utf8_problem(text) is None


def _utf8_problem(text: bytes) -> str | None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"line is not UTF-8: byte 0x{text[error.start]:02x} at column {error.start + 1}"
    return None


def line_stream(reader: LineReader) -> pa.RecordBatchReader:
    """Hand the lines to an engine as an Arrow stream, which can be read once."""
    return pa.RecordBatchReader.from_batches(LINE_SCHEMA, reader.batches())


class LineOrigins:
    """Where the running numbers of lines come from: an `Origins` for logs with one session a line."""

    def __init__(self, reader: LineReader) -> None:
        self._files = reader.files
        self._lines = reader.lines
        self._first = np.array(reader.first_session, dtype=np.int64)
        self._file_names = pa.array([file.name for file in reader.files], pa.string())

    def names(self, sessions: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Name sessions by file and line, ``appliances.txt:17``."""
        files, lines = self.places(sessions)
        large = pa.large_string()
        return pc.binary_join_element_wise(files.cast(large), lines.cast(large), pa.scalar(":", large))

    def places(self, sessions: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        """Give the file (string) and the 1-based line (int64) of each session."""
        file = self._file_of(sessions)
        return self._file_names.take(pa.array(file)), pa.array(sessions - self._first[file] + 1)

    def sources(self, sessions: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> list[Source]:
        """Describe the input files, given the used sessions and the number of events of each."""
        used = np.bincount(self._file_of(sessions), weights=events, minlength=len(self._files))
        return [
            Source(file=file.name, bytes=file.bytes, lines=lines, used_events=int(used_events))
            for file, lines, used_events in zip(self._files, self._lines, used, strict=True)
        ]

    def _file_of(self, sessions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        # An empty file begins where the next one does; "right" skips it.
        return np.searchsorted(self._first, sessions, side="right") - 1
