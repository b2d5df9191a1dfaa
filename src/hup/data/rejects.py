"""``rejects.parquet``: what was not used as it stood, where, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hup.data.manifest import Rejects
from hup.errors import HupError

DROPPED, SESSION_DROPPED, RECATEGORISED, NOTED = "dropped", "session dropped", "recategorised", "noted"
"""Effects: the row or token is not used, its session is not used, it is used otherwise, it only matters to know."""

FRAME = "table in memory"
"""Stands for the file of rows that are of none."""

SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("token", pa.string()),
        ("reason", pa.string()),
        ("effect", pa.string()),
    ]
)
_TOP_REASONS = 5
_EXAMPLES = 3
_SHOWN = 80  # characters of a token: a log with other separators is one long token
_KEPT = 1_000
_MALFORMED = pa.array([DROPPED, RECATEGORISED])


@dataclass(frozen=True)
class FileReject:
    """Something wrong with a file rather than a row.

    Attributes
    ----------
    file : str
        Name of the file.
    line : int or None
        1-based line at which reading ended, where there is one.
    reason : str
        What is wrong.
    """

    file: str
    line: int | None
    reason: str


@dataclass
class RejectTally:
    """Counts of rejected rows.

    Attributes
    ----------
    by_reason : Counter
        Rows by kind of reason: the reason without what was found, which follows after a colon.
    examples : dict
        Where each kind of reason was met, the first few.
    malformed : Counter
        The same for tokens and lines only: not sessions that are merely too short, and not whole files.
    """

    by_reason: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    malformed: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.by_reason.total()

    def manifest(self) -> Rejects:
        """Give what the manifest keeps."""
        return Rejects(rows=self.rows, by_reason=dict(self.by_reason.most_common()))

    def describe(self, kinds: Counter[str]) -> str:
        """List the most frequent of `kinds` with an example each."""
        top = [(kind, n) for kind, n in kinds.most_common(_TOP_REASONS) if n]
        return "; ".join(f"{kind} ({n:,}, first at {self.examples[kind][0]})" for kind, n in top) or "nothing at all"

    def problem(self, rows: int, limit: float, what: str) -> str | None:
        """Say that too much is malformed, or None if the share of `rows` is within `limit`."""
        malformed = self.malformed.total()
        if malformed <= limit * rows:
            return None
        return (
            f"{malformed / rows:.1%} of {rows:,} {what} are malformed; the limit is {limit:.1%} "
            f"(--max-reject-share). Found: {self.describe(self.malformed)}."
        )

    def add(self, rows: pa.RecordBatch) -> None:
        """Count rows of `SCHEMA` about lines, tokens and sessions."""
        kinds = pc.replace_substring_regex(rows.column("reason"), pattern=r"(?s): .*$", replacement="")
        kinds = kinds.dictionary_encode()
        codes = kinds.indices.to_numpy()
        malformed = pc.is_in(rows.column("effect"), value_set=_MALFORMED).to_numpy(zero_copy_only=False)
        for code, kind in enumerate(kinds.dictionary.to_pylist()):
            here = codes == code
            self.by_reason[kind] += int(here.sum())
            self.malformed[kind] += int((here & malformed).sum())
            known = self.examples.setdefault(kind, [])
            for row in np.flatnonzero(here)[: _EXAMPLES - len(known)]:
                known.append(_example(rows.slice(int(row), 1).to_pylist()[0]))

    def add_file(self, row: FileReject) -> None:
        """Count something wrong with a whole file, which is not malformed rows."""
        kind = row.reason.partition(": ")[0]
        self.by_reason[kind] += 1
        self.examples.setdefault(kind, []).append(_example(vars(row)))


def write_rejects(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    file_rejects: Sequence[FileReject],
    earlier: Path | None = None,
) -> RejectTally:
    """Write rejected rows to `path`: earlier ones, then those about whole files, then the others in log order.

    Parameters
    ----------
    path : Path
        A parquet file.
    batches : iterable of RecordBatch
        Rows of `SCHEMA`; texts may be long, they are cut.
    file_rejects : sequence of FileReject
        What was wrong with files; they do not count as malformed.
    earlier : Path, optional
        Such a file of the dataset that is appended to; its rows are kept, but not counted.
    """
    tally = RejectTally()
    with pq.ParquetWriter(path, SCHEMA) as writer:
        if earlier is not None:
            _copy(earlier, writer)
        if file_rejects:
            about_files = [{"token": None, "effect": DROPPED, **vars(row)} for row in file_rejects]
            writer.write_table(pa.Table.from_pylist(about_files, schema=SCHEMA))
            for row in file_rejects:
                tally.add_file(row)
        for batch in batches:
            rows = _cut(batch)
            writer.write_batch(rows)
            tally.add(rows)
    return tally


def _copy(earlier: Path, writer: pq.ParquetWriter) -> None:
    try:
        with pq.ParquetFile(earlier) as file:
            for rows in file.iter_batches():
                writer.write_batch(rows)
    except (pa.ArrowException, OSError) as error:
        raise HupError(
            f"{earlier} does not read as rejected rows ({error}). Remove it, or make the dataset again."
        ) from error


def _cut(rows: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pc.utf8_slice_codeunits(rows.column(name), 0, _KEPT) if name in ("token", "reason") else rows.column(name)
        for name in SCHEMA.names
    ]
    return pa.record_batch([column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def _example(row: dict[str, Any]) -> str:
    place = f"{row['file']}:{row['line']}" if row["line"] is not None else row["file"] or "the log"
    if row["file"] == FRAME:
        place = f"row {row['line']}"
    token = row.get("token")
    if token is None:
        return place
    return f"{place}, token {token if len(token) <= _SHOWN else token[:_SHOWN] + '…'!r}"
