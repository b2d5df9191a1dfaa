"""What objects say of themselves: a few lines at a prompt, a small table in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from hup.errors import HupError

_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class Summary:
    """What is said: a title, and a table below it.

    Attributes
    ----------
    title : str
    rows : sequence of sequence of str
    heads : sequence of str
        Of the columns; none where the first one says what the others are.
    more : str
        A last line.
    """

    title: str
    rows: Sequence[Sequence[str]] = ()
    heads: Sequence[str] = ()
    more: str = ""

    def text(self) -> str:
        """Write lines; an id is never cut."""
        table = [self.heads, *self.rows] if self.heads else self.rows
        lines = [[" ".join(cell.split()) for cell in row] for row in table]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        below = ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([self.title, *below, *([self.more] if self.more else [])])

    def html(self) -> str:
        """Write a table of HTML."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.heads)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        parts = [f"<caption>{escape(self.title)}</caption>", f"<thead><tr>{head}</tr></thead>" if head else ""]
        more = f"<p>{escape(self.more)}</p>" if self.more else ""
        return f"<table>{''.join(parts)}<tbody>{body}</tbody></table>{more}"


def shortened(text: str) -> str:
    """Give the beginning of what is to be read, not copied: a title, a path."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"


class Readable:
    """Has a `Summary`, from what is in memory already: it is made at every look, and must never fail."""

    def _summary(self) -> Summary:
        raise NotImplementedError

    def _safe_summary(self) -> Summary:
        try:
            return self._summary()
        except Exception:  # an object that is broken must be looked at, too
            return Summary(object.__repr__(self))

    def __repr__(self) -> str:
        return self._safe_summary().text()

    def _repr_html_(self) -> str:
        return self._safe_summary().html()


def require_pandas() -> None:
    """Check that pandas is there, which HUP needs for nothing but data frames.

    Raises
    ------
    HupError
        It is not.
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise HupError("to_frame() needs pandas, which is not installed. Install it: pip install pandas") from error
