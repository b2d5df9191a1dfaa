"""What is in checked rows, counted in one pass over them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hup.data.engines.duckdb_engine import DuckDBEngine
from hup.data.engines.sql_text import quoted_name
from hup.data.tables.rows import EVENT_ID_DIGITS

NOT_KEPT = "behavior is not one to keep"
_OPTIONAL = ("event_id", "interval", "dwell")


@dataclass(frozen=True)
class RowCounts:
    """Counts of the rows of a log.

    Attributes
    ----------
    rows_by_file, good_by_file : list of int
        Rows, and usable rows, of each file.
    bad : int
        Rows that cannot be used.
    left_out : dict of str to int
        Rows that the mapping leaves out, by reason.
    behaviors : dict of str to int
        Usable rows of each behavior.
    columns : tuple of str
        Those of event_id, interval and dwell that some usable row has.
    has_sessions : bool
        Whether some usable row has a session id.
    ids_are_whole : bool
        Whether all event ids are whole numbers.
    """

    rows_by_file: list[int]
    good_by_file: list[int]
    bad: int
    left_out: dict[str, int]
    behaviors: dict[str, int]
    columns: tuple[str, ...]
    has_sessions: bool
    ids_are_whole: bool

    @property
    def good(self) -> int:
        """Number of usable rows."""
        return sum(self.good_by_file)

    @property
    def asked_for(self) -> int:
        """Number of rows that the mapping asks for, good and bad."""
        return self.good + self.bad


def count_rows(rows: str, n_files: int, engine: DuckDBEngine) -> RowCounts:
    """Count typed rows.

    Parameters
    ----------
    rows : str
        Name of a table with the columns that `typed_rows` gives.
    n_files : int
        Number of files.
    engine : DuckDBEngine
        Runs one aggregation.
    """
    # Ids that are whole numbers have leading zeros up to the same length.
    is_whole = f"lpad(TRY_CAST(event_id AS BIGINT)::VARCHAR, {EVENT_ID_DIGITS}, '0') = event_id"
    counts = ", ".join(f"count({quoted_name(name)}) AS n_{name}" for name in _OPTIONAL)
    kinds = f"""
        SELECT file, left_out, reason IS NOT NULL AS bad,
            CASE WHEN reason IS NULL AND NOT left_out THEN behavior END AS behavior,
            count(*) AS n, count(*) FILTER (WHERE {is_whole}) AS whole, count(session) AS session_ids, {counts}
        FROM {rows} GROUP BY ALL"""
    total, good = [0] * n_files, [0] * n_files
    behaviors: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    bad = out = 0
    for row in engine.collect(kinds).to_pylist():
        total[row["file"]] += row["n"]
        if row["bad"]:
            bad += row["n"]
        elif row["left_out"]:
            out += row["n"]
        else:
            good[row["file"]] += row["n"]
            behaviors[row["behavior"]] += row["n"]
            sums.update({name: row[name] for name in ("whole", "session_ids", *(f"n_{name}" for name in _OPTIONAL))})
    return RowCounts(
        rows_by_file=total,
        good_by_file=good,
        bad=bad,
        left_out={NOT_KEPT: out} if out else {},
        behaviors=dict(behaviors.most_common()),
        columns=tuple(name for name in _OPTIONAL if sums[f"n_{name}"]),
        has_sessions=sums["session_ids"] > 0,
        ids_are_whole=0 < sums["n_event_id"] == sums["whole"],
    )
