"""README and guides are true: their commands and their Python are run as written, top to bottom, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

# Pages with something to run, and what they must have made by their end. The recipe of architecture.md has a test of
# its own, which needs more than to run.
PAGES = {
    "README.md": (
        "dataset/manifest.json",
        "metrics.json",
        "model/model.safetensors",
        "next-model/model.safetensors",
        "my-model/model.safetensors",
    ),
    "docs/evaluation.md": ("run/run.json", "vsknn/model.safetensors", "report.html", "explain.html", "explain.png"),
    "docs/event-tables.md": ("mapping.toml", "shop/manifest.json"),
    "docs/exports.md": ("shop/manifest.json",),
    "docs/jd-lines.md": ("dataset/manifest.json", "model/model.safetensors"),
    "docs/recommending.md": ("recommendations.parquet", "profiles.parquet", "in-stock.jsonl"),
    "docs/scripts.md": ("report.json", "dataset.json", "model.json", "metrics.json", "tables.txt"),
    "docs/serving.md": ("users/data.mdb", "next-model/model.safetensors"),
    "docs/simulator.md": ("clicks.txt.gz",),
}
TESTED_ELSEWHERE = {"docs/architecture.md", "docs/best.md", "docs/model.md"}

NOT_RUN = "<!-- not run by the tests:"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>bash|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# All that a block may hold that is not run: what makes the environment the tests run in, or runs the tests.
INSTALLS = re.compile(r"(git clone|cd|make|pip install|python3? -m (venv|pip)|source \.venv/bin/activate)\b")

PACKAGED = re.compile(r"\[[^\]]*\]\((?!https?:|#)(?P<target>[^)#]+)")

MAKE = re.compile(r"(?:^|`)(?:[A-Z_]+=\S+ )*make(?: [A-Z_]+=(?:\"[^\"]*\"|\S+))* ([a-z][a-z-]*)", re.MULTILINE)

MOST_LINES = 180


class Block(NamedTuple):
    language: str
    text: str
    is_run: bool


def pages(root: Path) -> dict[str, str]:
    """Text of every page of the documentation by its path."""
    paths = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def blocks_of(text: str) -> list[Block]:
    return [Block(m["language"], m["text"], not m["before"].startswith(NOT_RUN)) for m in BLOCK.finditer(text)]


def test_the_readme_is_short(root):
    assert pages(root)["README.md"].count("\n") <= MOST_LINES


def test_no_block_is_overlooked(root):
    for page, text in pages(root).items():
        fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
        assert len(fences) % 2 == 0, page
        assert set(fences) <= {"", "bash", "python", "text", "toml"}, f"{page}: a language that this test does not run"
        languages = [language for language in fences if language in ("bash", "python")]
        assert len(blocks_of(text)) == len(languages), page
        assert not languages or page in PAGES or page in TESTED_ELSEWHERE, f"{page} has blocks that nothing runs"


def test_the_readme_has_both_kinds_of_blocks(root):
    assert {block.language for block in blocks_of(pages(root)["README.md"]) if block.is_run} == {"bash", "python"}


def test_only_installing_is_left_out(root):
    for page, text in pages(root).items():
        for block in blocks_of(text):
            if not block.is_run:
                assert all(INSTALLS.match(line) for line in block.text.strip().splitlines()), (page, block.text)


def test_links_lead_somewhere(root):
    missing = [
        f"{page}: {link['target']}"
        for page, text in pages(root).items()
        for link in PACKAGED.finditer(text)
        if not (root / page).parent.joinpath(link["target"]).exists()
    ]
    assert not missing


def test_make_has_the_targets_that_pages_name(root):
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {(page, name) for page, text in pages(root).items() for name in MAKE.findall(text)}
    assert {"demo", "docs", "mutants", "report", "venv"} <= {name for _, name in named}
    assert not [(page, name) for page, name in named if name not in targets]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_and_python_run_as_written(root, page, tmp_path):
    """Each block finds what those before it have left; Python blocks share their names."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    python: list[str] = []
    for block in blocks_of(pages(root)[page]):
        if not block.is_run:
            continue
        if block.language == "python":
            python.append(block.text)
            continue
        run(["bash", "-euo", "pipefail", "-c", block.text], tmp_path, environment)
    if python:
        run([sys.executable, "-c", "\n".join(python)], tmp_path, environment)
    for made in PAGES[page]:
        assert (tmp_path / made).is_file(), made


@pytest.mark.slow
def test_the_demo_runs_twice(root, tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for _ in range(2):
        said = run(["bash", str(root / "scripts" / "demo.sh"), "demo"], tmp_path, environment)
        assert "SIMULATED" in said
        for command in ("simulate", "prepare", "train", "evaluate", "recommend"):
            assert f"$ hup {command} " in said
        for row in ("recency", "popularity", "category_1"):
            assert row in said
        assert "hup prepare YOUR_LOG.txt" in said


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]}\n\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
