"""The documentation as a site: every page has its place, every export its entry, and no reader is sent to a network."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import hup

# What a browser loads by itself, from another host.
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\s>]*")
IMPORTED = re.compile(r"url\([\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//")


def navigation(root: Path) -> set[str]:
    """Pages that mkdocs.yml has a place for."""
    text = (root / "mkdocs.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^ +- [^:\n]+: (\S+\.md)\b", text, re.MULTILINE))


def entries_of(reference: str) -> dict[str, str]:
    """Exports of hup that the reference describes, and where it lets mkdocstrings look."""
    described = re.findall(r"^::: (\S+)$(?:\n    options:$)?(?:\n      heading: (\S+)$)?", reference, re.MULTILINE)
    shown = [(heading or path, path) for path, heading in described]
    return {name.removeprefix("hup."): path for name, path in shown if re.fullmatch(r"hup\.\w+", name)}


def test_every_page_has_a_place(root):
    pages = {path.relative_to(root / "docs").as_posix() for path in (root / "docs").rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}.md" for path in (root / "notebooks").glob("*.ipynb")}
    assert navigation(root) == pages | notebooks | {"index.md", "CONTRIBUTING.md", "CHANGELOG.md"}


def test_every_export_has_an_entry(root):
    entries = entries_of((root / "docs" / "api.md").read_text(encoding="utf-8"))
    assert set(entries) == set(hup.__all__) - {"__version__"}
    for name, path in entries.items():
        module, _, defined = path.rpartition(".")
        assert getattr(importlib.import_module(module), defined) is getattr(hup, name)


@pytest.mark.parametrize("name", ["pyramid", "mixture"])
def test_pictures_are_readable_in_light_and_dark(root, name):
    text = (root / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)
    assert picture.find("{http://www.w3.org/2000/svg}title") is not None
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    coloured = set(re.findall(r"^ +\.([a-z]+) \{[^}]*#[0-9a-f]{6}", light, re.MULTILINE))
    assert coloured
    assert coloured == set(re.findall(r"^ +\.([a-z]+) \{[^}]*#[0-9a-f]{6}", dark, re.MULTILINE))


@pytest.mark.slow
def test_the_site_is_whole_and_stays_at_home(root, tmp_path):
    pytest.importorskip("mkdocs", reason="no mkdocs: make EXTRAS='dev docs' venv")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = sorted((tmp_path / "site").rglob("*.html"))
    found = {page.relative_to(tmp_path / "site").with_suffix(".md").as_posix() for page in pages}
    assert navigation(root) <= found
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page.name
    for style in (tmp_path / "site").rglob("*.css"):
        assert not IMPORTED.search(style.read_text(encoding="utf-8")), style.name
    for notebook in (root / "notebooks").glob("*.ipynb"):
        page = (tmp_path / "site" / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert '<div class="highlight">' in page, "code"
        assert '<div class="output highlight">' in page, "what it prints"
        assert "Dataset dataset" in page, "a result as text"
        assert 'class="dataframe"' not in page, "a table in no style of the site"
        for picture in re.findall(r'src="([^"]+_files/[^"]+)"', page):
            assert (tmp_path / "site" / "notebooks" / picture).is_file()
    assert list((tmp_path / "site" / "notebooks" / "paper_files").glob("*.png"))
    reference = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    for name, path in entries_of((root / "docs" / "api.md").read_text(encoding="utf-8")).items():
        assert f'id="{path}"' in reference, name


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (LOADED, '<script src="https://unpkg.com/x.js">', '<a href="https://example.org">'),
        (LOADED, '<link rel="stylesheet" href="//fonts.example.org/css">', '<link href="assets/x.css">'),
        (IMPORTED, "@import 'https://x.org/a.css'", "url(data:image/svg+xml;xmlns='http://www.w3.org/2000/svg')"),
    ],
)
def test_the_patterns_tell_bad_from_good(pattern, bad, good):
    assert pattern.search(bad)
    assert not pattern.search(good)
