"""Figures of the README stand on the page that says which command prints them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r"\d+\.\d / \d+\.\d")


def test_the_readme_repeats_figures_of_the_page():
    told = FIGURE.findall((ROOT / "README.md").read_text(encoding="utf-8").replace("**", ""))
    page = (ROOT / "docs" / "best-figures.md").read_text(encoding="utf-8").replace("**", "")
    assert len(told) >= 12
    assert [one for one in told if one not in page] == []
