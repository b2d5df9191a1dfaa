"""A result as a person who just made it sees it: a few lines in a terminal, a table in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from hup.evaluation.figures import percent_pair
from hup.evaluation.metrics import cutoff

Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Overview:
    """Recall and MRR of rows at the cut-offs of their levels.

    Attributes
    ----------
    title : str
    levels : sequence of str
        Those that have sessions.
    rows : mapping
        By name and level, Recall and MRR; a row that failed has none.
    """

    title: str
    levels: Sequence[str]
    rows: Mapping[str, Mapping[str, Pair]]

    def text(self, most: int = 6) -> str:
        """Write a line a row; of many rows the best by MRR of the first level.

        Parameters
        ----------
        most : int
            Rows to show.
        """
        shown = list(self.rows)
        if len(shown) > most:
            shown = sorted(shown, key=self._first_mrr, reverse=True)[:most]
        left = len(self.rows) - len(shown)
        table = [["", *self._heads()], *([row, *self._cells(row)] for row in shown)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in table
        ]
        more = [f"… and {left} more rows"] if left else []
        return "\n".join([f"{self.title}, Recall / MRR in %", *lines, *more])

    def html(self) -> str:
        """Write all rows as a table."""
        head = "".join(f"<th>{escape(one)}</th>" for one in ("", *self._heads()))
        body = "".join(
            f"<tr><th>{escape(row)}</th>{''.join(f'<td>{escape(one)}</td>' for one in self._cells(row))}</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(self.title)}, Recall / MRR in %</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _heads(self) -> list[str]:
        return [f"{level} @{cutoff(level)}" for level in self.levels]

    def _cells(self, row: str) -> list[str]:
        return [percent_pair(*self.rows[row].get(level, (None, None))) for level in self.levels]

    def _first_mrr(self, row: str) -> float:
        found = [self.rows[row].get(level, (None, None))[1] for level in self.levels[:1]]
        return next((value for value in found if value is not None), -1.0)
