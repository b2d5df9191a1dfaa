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

from hup.data.engines.reader import SourceFile
from hup.data.line_blocks import MAX_LINE_BYTES, StreamBroken, line_problems, split_lines, too_long, whole_lines
from hup.data.manifest import Source
from hup.data.progress import Progress
from hup.data.rejects import FileReject
from hup.data.session_log import SESSION_COLUMNS

LINE_SCHEMA = pa.schema([("session", pa.int64()), ("place", pa.int64()), ("text", pa.large_string())])


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
    """

    files: Sequence[SourceFile]
    progress: Progress
    first_session: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad_sessions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bad_reasons: list[pa.Array] = field(default_factory=list)
    file_rejects: list[FileReject] = field(default_factory=list)
    _session: int = 0
    _bytes: int = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of `LINE_SCHEMA`; lines that are empty or not UTF-8 are left out and noted."""
        for file in self.files:
            self.first_session.append(self._session)
            yield from self._file_batches(file)
            self.lines.append(self._session - self.first_session[-1])

    def _file_batches(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        """Read one file; only whole lines are used of a compressed file that breaks off."""
        begun = False
        try:
            for block in whole_lines(file.path, self.progress.advance, MAX_LINE_BYTES):
                begun = True
                if block is None:
                    self._refuse_long_line()
                else:
                    yield self._batch(block)
        except StreamBroken as broken:
            line = self._session - self.first_session[-1] + 1
            self.file_rejects.append(FileReject(file.name, line, str(broken)))
            return
        if not begun:
            self.file_rejects.append(FileReject(file.name, None, "file is empty"))

    def _refuse_long_line(self) -> None:
        self.bad_sessions.append(np.array([self._session], np.int64))
        self.bad_reasons.append(pa.array([too_long(MAX_LINE_BYTES)]))
        self._session += 1

    def _batch(self, block: bytes) -> pa.RecordBatch:
        """Turn whole lines, joined by newlines, into a batch."""
        lines = split_lines(block)
        sessions = np.arange(self._session, self._session + len(lines), dtype=np.int64)
        self._session += len(lines)
        reasons = line_problems(lines, block)
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

    def stream(self) -> pa.RecordBatchReader:
        """Hand `batches` to an engine as an Arrow stream, which can be read once."""
        return pa.RecordBatchReader.from_batches(LINE_SCHEMA, self.batches())

    def places(self, sessions: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        """Give the file (string) and the 1-based line (int64) of each session."""
        file = self._file_of(sessions)
        names = pa.array([file.name for file in self.files], pa.string())
        return names.take(pa.array(file)), pa.array(sessions - np.array(self.first_session)[file] + 1)

    def sessions(self, sessions: npt.NDArray[np.int64]) -> pa.Table:
        """Name sessions by file and line, ``appliances.txt:17``; lines do not say whose they are, nor when.

        Returns
        -------
        Table
            `SESSION_COLUMNS`, a row a session.
        """
        large = pa.large_string()
        files, lines = (places.cast(large) for places in self.places(sessions))
        names = pc.binary_join_element_wise(files, lines, pa.scalar(":", large))
        unknown = [pa.nulls(len(sessions), field.type) for field in list(SESSION_COLUMNS)[1:]]
        return pa.table([names, *unknown], schema=SESSION_COLUMNS)

    def sources(self, sessions: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> list[Source]:
        """Describe the input files, given the used sessions and the number of events of each."""
        used = np.bincount(self._file_of(sessions), weights=events, minlength=len(self.files))
        return [
            Source(file=file.name, bytes=file.bytes, lines=lines, used_events=int(used_events))
            for file, lines, used_events in zip(self.files, self.lines, used, strict=True)
        ]

    def _file_of(self, sessions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        # An empty file begins where the next one does; "right" skips it.
        return np.searchsorted(np.array(self.first_session, np.int64), sessions, side="right") - 1
