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

from hup.data.builder import DROPPED, RECATEGORISED
from hup.data.event_log import Origins
from hup.data.jd_lines import FileReject
from hup.data.manifest import Rejects

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
_SHOWN = 80  # characters of a token: a log with other separators is one long token
_KEPT = 1_000
_MALFORMED = pa.array([DROPPED, RECATEGORISED])


@dataclass
class RejectTally:
    """Counts of rejected rows.

    Attributes
    ----------
    by_reason : Counter
        Rows by kind of reason: the reason without what was found, which follows after a colon.
    examples : dict
        Where each kind of reason was met first.
    malformed : Counter
        The same for tokens and lines only: not sessions that are merely too short, and not whole files.
    """

    by_reason: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
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
        return "; ".join(f"{kind} ({n:,}, first at {self.examples[kind]})" for kind, n in top) or "nothing at all"

    def problem(self, tokens: int, limit: float) -> str | None:
        """Say that too much is malformed, or None if the share of `tokens` is within `limit`."""
        malformed = self.malformed.total()
        if malformed <= limit * tokens:
            return None
        return (
            f"{malformed / tokens:.1%} of {tokens:,} tokens are malformed; the limit is {limit:.1%} "
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
            if kind not in self.examples:
                self.examples[kind] = _example(rows.slice(int(np.argmax(here)), 1).to_pylist()[0])


def write_rejects(
    path: Path, batches: Iterable[pa.RecordBatch], origins: Origins, file_rejects: Sequence[FileReject]
) -> RejectTally:
    """Write rejected rows to `path`: those about whole files first, then the others in log order.

    Parameters
    ----------
    path : Path
        A parquet file.
    batches : iterable of RecordBatch
        ``session``, ``position``, ``token``, ``reason``, ``effect``.
    origins : Origins
        Says where sessions came from.
    file_rejects : sequence of FileReject
        What was wrong with files; they do not count as malformed.
    """
    tally = RejectTally()
    with pq.ParquetWriter(path, SCHEMA) as writer:
        if file_rejects:
            about_files = [{"token": None, "effect": DROPPED, **vars(row)} for row in file_rejects]
            writer.write_table(pa.Table.from_pylist(about_files, schema=SCHEMA))
            for row in file_rejects:
                kind = row.reason.partition(": ")[0]
                tally.by_reason[kind] += 1
                tally.examples.setdefault(kind, _example(vars(row)))
        for batch in batches:
            rows = _located(batch, origins)
            writer.write_batch(rows)
            tally.add(rows)
    return tally


def _located(batch: pa.RecordBatch, origins: Origins) -> pa.RecordBatch:
    files, lines = origins.places(batch.column("session").to_numpy())
    columns = [
        files,
        lines,
        *(pc.utf8_slice_codeunits(batch.column(name), 0, _KEPT) for name in ("token", "reason")),
        batch.column("effect"),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def _example(row: dict[str, Any]) -> str:
    place = row["file"] if row["line"] is None else f"{row['file']}:{row['line']}"
    token = row.get("token")
    if token is None:
        return place
    return f"{place}, token {token if len(token) <= _SHOWN else token[:_SHOWN] + '…'!r}"
