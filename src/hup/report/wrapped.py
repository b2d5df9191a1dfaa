"""Text of a picture in lines that are no wider than their place."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

_CUT = "…"


class TextMeasure:
    """Knows how wide text is drawn.

    Parameters
    ----------
    renderer : RendererAgg
        Of the picture.
    size : float
        Of the font, in points.
    """

    def __init__(self, renderer: RendererAgg, size: float) -> None:
        from matplotlib.font_manager import FontProperties

        self._renderer = renderer
        self._fonts = [FontProperties(family="sans-serif", size=size, weight=weight) for weight in ("normal", "bold")]

    def inches(self, text: str, *, bold: bool = False) -> float:
        """Say how wide a line is."""
        font = self._fonts[bold]
        width, _, _ = self._renderer.get_text_width_height_descent(text, font, ismath=False)  # type: ignore[no-untyped-call]
        return float(width / self._renderer.dpi)

    def wrapped(self, text: str, inches: float, most: int, *, bold: bool = False) -> list[str]:
        """Break text into lines; what needs more lines than `most` is cut, and an ellipsis says so."""

        def fits(line: str) -> bool:
            return self.inches(line, bold=bold) <= inches

        def longest(word: str, after: str = "") -> int:
            """Count the letters that fit at most, with what comes after them."""
            return bisect_left(range(1, len(word) + 1), True, key=lambda end: not fits(word[:end] + after))

        lines, line = [], ""
        for word in text.split():
            if fits(f"{line} {word}".strip()):
                line = f"{line} {word}".strip()
                continue
            if line:
                lines.append(line)
            while not fits(word) and len(word) > 1:  # no script needs blanks, and no id has any
                end = max(1, longest(word))
                lines.append(word[:end])
                word = word[end:]
            line = word
        lines += [line] if line else []
        if len(lines) <= most:
            return lines
        last = lines[most - 1]
        return [*lines[: most - 1], last[: longest(last, _CUT)].rstrip() + _CUT]
