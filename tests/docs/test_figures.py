"""Figures of the README stand on the page that says which command prints them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r"\d+\.\d / \d+\.\d")


def test_the_readme_repeats_figures_of_the_page():
    readme, page = (
        " ".join((ROOT / name).read_text(encoding="utf-8").replace("**", "").split())
        for name in ("README.md", "docs/best-figures.md")
    )
    told = FIGURE.findall(readme)
    assert len(told) >= 12
    assert [one for one in told if one not in page] == []
