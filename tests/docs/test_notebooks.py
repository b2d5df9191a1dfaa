"""The notebooks are true: they run from nothing, offline, and print what is kept in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="no nbformat: make EXTRAS=dev venv")

NAMES = ("paper", "shop")
MOST_COLUMNS = 120
MOST_TEXT, MOST_TABLE, MOST_PICTURE = 10_000, 2_500, 250_000  # characters: a notebook's texts, a table, a picture
KINDS = ({"text/plain"}, {"text/plain", "text/html"}, {"text/plain", "image/png"})  # what a result may be shown as

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
FINGERPRINT = re.compile(r"\b[0-9a-f]{12}\b")
BELOW_RECENCY = re.compile("(Below recency:).*")  # which is a matter of rounding where both are about as good
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")

# So many of the figures are as they were on the machine that the outputs are from; another one rounds otherwise, and so
# a list may have another order here and there.
MOST_FIGURES = 0.9


@pytest.fixture(params=NAMES)
def notebook(request, root):
    return nbformat.read(root / "notebooks" / f"{request.param}.ipynb", as_version=4)


def cells(notebook, kind: str) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def shown(cell) -> list:
    """Results and what is displayed: the same thing in one or two forms each."""
    return [output.data for output in cell.outputs if "data" in output]


def texts(cell) -> list[str]:
    """What is printed, and results as they are in a terminal; a picture is none there."""
    printed = [output.text for output in cell.outputs if output.output_type == "stream"]
    return printed + [data["text/plain"] for data in shown(cell) if "image/png" not in data]


def tables(cell) -> list[str]:
    return [data["text/html"] for data in shown(cell) if "text/html" in data]


def pictures(cell) -> list[str]:
    return [data["image/png"] for data in shown(cell) if "image/png" in data]


def words(text: str) -> list[str]:
    """What is no figure, and no fingerprint of weights."""
    return NUMBER.sub("#", FINGERPRINT.sub("#", BELOW_RECENCY.sub(r"\1", text))).split()


def figures(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(FINGERPRINT.sub("", text))]


def share_of_equal(first: list[float], second: list[float]) -> float:
    """How many figures are the same, but for little."""
    near = [one == pytest.approx(other, rel=0.1, abs=0.01) for one, other in zip(first, second, strict=True)]
    return sum(near) / max(1, len(near))


def test_all_of_them_are_looked_at(root):
    assert sorted(path.stem for path in (root / "notebooks").glob("*.ipynb")) == sorted(NAMES)


def test_it_is_well_formed_and_says_nothing_of_a_machine(notebook):
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert not [cell.metadata for cell in notebook.cells if cell.metadata]


def test_it_begins_with_a_title_and_every_step_says_why(notebook):
    assert notebook.cells[0].source.startswith("# ")
    assert [cell.source for cell in notebook.cells[1:] if cell.source.startswith("# ")] == []
    kinds = [cell.cell_type for cell in notebook.cells]
    assert ("code", "code") not in set(pairwise(kinds)), "a step without a word before it"


def test_it_was_run_from_top_to_bottom_without_a_warning(notebook):
    code = cells(notebook, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_outputs_are_small(notebook):
    code = cells(notebook, "code")
    printed = [text for cell in code for text in texts(cell)]
    laid_out = [table for cell in code for table in tables(cell)]
    assert all(set(data) in KINDS for cell in code for data in shown(cell)), "text, tables and pictures alone"
    assert 500 < sum(map(len, printed)) < MOST_TEXT
    assert [table for table in laid_out if len(table) > MOST_TABLE or "<table" not in table] == []
    assert all(len(picture) < MOST_PICTURE for cell in code for picture in pictures(cell))


def test_its_text_is_markdown_as_everywhere(root, notebook):
    for cell in cells(notebook, "markdown"):
        assert [line for line in cell.source.splitlines() if len(line) > MOST_COLUMNS] == []
        for target in LINK.findall(cell.source):
            assert (root / "notebooks" / target).is_file(), target


@pytest.mark.slow
def test_they_run_and_print_what_is_kept(root, tmp_path):
    pytest.importorskip("nbclient", reason="no nbclient: make EXTRAS=dev venv")
    command = [sys.executable, str(root / "scripts" / "notebooks.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    for name in NAMES:
        kept, ran = (nbformat.read(folder / f"{name}.ipynb", as_version=4) for folder in (root / "notebooks", tmp_path))
        assert str(tmp_path) not in nbformat.writes(ran)
        assert [cell.source for cell in ran.cells] == [cell.source for cell in kept.cells]
        before, now = [], []
        for was, of_now in zip(cells(kept, "code"), cells(ran, "code"), strict=True):
            place = f"{name}.ipynb, cell {was.execution_count}: run `make notebooks`, and look at what has changed"
            assert [words(text) for text in texts(of_now)] == [words(text) for text in texts(was)], place
            assert [set(data) for data in shown(of_now)] == [set(data) for data in shown(was)], place
            before += figures(" ".join(texts(was)))
            now += figures(" ".join(texts(of_now)))
        assert share_of_equal(before, now) >= MOST_FIGURES, f"{name}.ipynb: run `make notebooks`"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings; warnings.warn('old')", "broken.ipynb writes to stderr"),
    ],
)
def test_a_notebook_that_fails_or_warns_is_not_kept(root, tmp_path, code, told):
    pytest.importorskip("nbclient", reason="no nbclient: make EXTRAS=dev venv")
    scripts, broken = tmp_path / "scripts", tmp_path / "notebooks" / "broken.ipynb"
    for folder in (scripts, broken.parent):
        folder.mkdir()
    (scripts / "notebooks.py").write_bytes((root / "scripts" / "notebooks.py").read_bytes())
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), broken)
    before = broken.read_bytes()
    command = [sys.executable, str(scripts / "notebooks.py")]
    done = subprocess.run(command, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert broken.read_bytes() == before


def environment(root: Path) -> dict[str, str]:
    """Kernels work in folders of their own, where a relative path to the sources would lead nowhere."""
    return {**os.environ, "PYTHONPATH": str(root / "src")}


def test_figures_are_told_from_words_and_from_each_other():
    assert words("item 1,024 p = 9.6e-25, -3.5") == ["item", "#", "p", "=", "#,", "#"]
    assert figures("1,024 9.6e-25 -3.5") == [1024.0, 9.6e-25, -3.5]
    assert words("of model 80076d8d665f") == words("of model 123456789012") == ["of", "model", "#"]
    assert figures("2 items, of model 80076d8d665f") == [2.0]
    assert share_of_equal([100.0, 1.0], [101.0, 1.2]) == 0.5
    assert share_of_equal([], []) == 0
