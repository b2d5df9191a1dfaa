"""Files of text, delimited or JSON lines, as tables: lines are parsed alike wherever they are read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from hup.data.engines.csv_stream import CsvRows, csv_head, csv_rows
from hup.data.engines.jsonl_stream import JsonlRows, jsonl_head, jsonl_rows
from hup.data.engines.reader import Dialect, SourceFile
from hup.data.engines.table_files import TableFormat, given_rejects, require_columns, require_rows
from hup.data.line_blocks import MAX_LINE_BYTES, StreamBroken, whole_lines
from hup.data.progress import Progress
from hup.data.rejects import FileReject

TextRows = CsvRows | JsonlRows
_THREADS = max(1, min(4, os.cpu_count() or 1))


def text_columns(format: TableFormat, files: Sequence[SourceFile], dialect: Dialect) -> dict[str, str]:
    """Give the columns of `files` together, all of them VARCHAR.

    Raises
    ------
    HupError
        If a file does not read, or none has columns.
    """
    heads = [csv_head(file, dialect) if format == "csv" else jsonl_head(file, dialect) for file in files]
    require_columns([(head.names, head.reject) for head in heads])
    return {name: "VARCHAR" for head in heads for name in head.names}


def text_rows(
    format: TableFormat, files: Sequence[SourceFile], dialect: Dialect, wanted: Sequence[str]
) -> tuple[TextRows, list[FileReject]]:
    """Give what makes rows of lines of `files`, and the files that have none.

    Raises
    ------
    HupError
        If a file does not read or lacks one of the `wanted` columns, or none has rows.
    """
    rows, heads = csv_rows(files, dialect, wanted) if format == "csv" else jsonl_rows(files, wanted, dialect)
    rejects = given_rejects(heads)
    require_rows(len(files), rejects)
    return rows, rejects


@dataclass
class TextStream:
    """Reads local files of text, once, in order.

    Attributes
    ----------
    files : sequence of SourceFile
        All files; ``hup_file`` is the index into it.
    rows : CsvRows or JsonlRows
        Makes rows of lines.
    progress : Progress
        Told the bytes read.
    file_rejects : list of FileReject
        Gets the compressed files that break off.
    """

    files: Sequence[SourceFile]
    rows: TextRows
    progress: Progress
    file_rejects: list[FileReject]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield batches of the schema of `rows`."""
        for batches in _in_order(self._parts()):
            yield from batches

    def _parts(self) -> Iterator[Callable[[], list[pa.RecordBatch]]]:
        used = set(self.rows.files)
        for number, file in enumerate(self.files):
            if number in used:
                yield from self.rows.parts(number, self._blocks(file))
            else:
                self.progress.advance(file.bytes)

    def _blocks(self, file: SourceFile) -> Iterator[bytes | None]:
        """Yield the lines of a file; of one that breaks off, those before."""
        lines = 0
        try:
            for block in whole_lines(file.path, self.progress.advance, MAX_LINE_BYTES):
                lines += 1 if block is None else block.count(b"\n") + 1
                yield block
        except StreamBroken as broken:
            self.file_rejects.append(FileReject(file.name, lines + 1, str(broken)))


def _in_order(parts: Iterable[Callable[[], list[pa.RecordBatch]]]) -> Iterator[list[pa.RecordBatch]]:
    """Run several parts at once, and yield results in order."""
    waiting: deque[Future[list[pa.RecordBatch]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hup-text") as workers:
        for part in parts:
            waiting.append(workers.submit(part))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
