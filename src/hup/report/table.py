"""A table as data: one layout for the page and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A field of a table.

    Attributes
    ----------
    text : str
    small : str
        A second line, of less weight.
    mark : str
        How it looks: "", ``"best"``, ``"muted"``, ``"reason"``, ``"good"``, ``"bad"``, ``"unsure"``, ``"text"``.
    span : int
        Number of columns that it covers.
    """

    text: str
    small: str = ""
    mark: str = ""
    span: int = 1


@dataclass(frozen=True)
class Group:
    """Rows under a common title, which may be empty; the first cell of a row is its name."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Rows in groups below one or more lines of heads.

    Attributes
    ----------
    title : str
    head : tuple of tuple of Cell
    groups : tuple of Group
    note : str
        What a reader must know to read it.
    """

    title: str
    head: tuple[tuple[Cell, ...], ...]
    groups: tuple[Group, ...]
    note: str = ""

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(cell.span for cell in self.head[-1])

    def markdown(self) -> str:
        """Write it as a Markdown table; lines of heads become one, groups a bold line."""
        lines = [_line(self._heads()), _line(["---"] + ["---:"] * (self.width - 1))]
        for group in self.groups:
            if group.title:
                lines.append(_line([f"**{_escaped(group.title)}**", *[""] * (self.width - 1)]))
            lines += [_line(_fields(row)) for row in group.rows]
        note = f"\n\n{_escaped(self.note)}" if self.note else ""
        return f"### {_escaped(self.title)}\n\n" + "\n".join(lines) + note + "\n"

    def _heads(self) -> list[str]:
        columns = [[] for _ in range(self.width)]  # type: list[list[str]]
        for line in self.head:
            texts = [cell.text for cell in line for _ in range(cell.span)]
            for column, text in zip(columns, texts, strict=True):
                if text and text not in column:
                    column.append(text)
        return [_escaped(", ".join(column)) for column in columns]


def _fields(row: tuple[Cell, ...]) -> list[str]:
    fields = []
    for cell in row:
        text = _escaped(cell.text)
        if cell.small:
            text = f"{text} ({_escaped(cell.small)})"
        if cell.mark == "best":
            text = f"**{text}**"
        fields += [text, *[""] * (cell.span - 1)]
    return fields


def _line(fields: list[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _escaped(text: str) -> str:
    """Keep text from being read as Markdown or HTML; a line break would end the row."""
    flat = " ".join(text.split())
    for sign, kept in (("\\", "\\\\"), ("|", "\\|"), ("*", "\\*"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, kept)
    return flat
