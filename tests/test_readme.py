"""The README is true: its commands and its Python are run as written, top to bottom, in one empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

NOT_RUN = "<!-- not run by the tests:"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>bash|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# All that a block may hold that is not run: what makes the environment the tests run in, or runs the tests.
INSTALLS = re.compile(r"(git clone|cd|make|pip install|python3? -m (venv|pip)|source \.venv/bin/activate)\b")

PACKAGED = re.compile(r"\[[^\]]*\]\((?!https?:|#)(?P<target>[^)#]+)")


class Block(NamedTuple):
    language: str
    text: str
    is_run: bool


@pytest.fixture(scope="module")
def readme(root) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def blocks(readme) -> list[Block]:
    return [Block(m["language"], m["text"], not m["before"].startswith(NOT_RUN)) for m in BLOCK.finditer(readme)]


def test_no_block_is_overlooked(readme, blocks):
    fences = re.findall(r"^```(\w*)$", readme, re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences) <= {"", "bash", "python", "text"}, "a language that this test does not run"
    assert len(blocks) == sum(language in ("bash", "python") for language in fences)
    assert {block.language for block in blocks if block.is_run} == {"bash", "python"}


def test_only_installing_is_left_out(blocks):
    for block in blocks:
        if not block.is_run:
            assert all(INSTALLS.match(line) for line in block.text.strip().splitlines()), block.text


def test_links_lead_somewhere(root, readme):
    missing = [found["target"] for found in PACKAGED.finditer(readme) if not (root / found["target"]).exists()]
    assert not missing


@pytest.mark.slow
def test_commands_and_python_run_as_written(blocks, tmp_path):
    """One shell runs all of it, so that what a block leaves is there for the next; Python blocks share their names."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    python: list[str] = []
    for block in blocks:
        if not block.is_run:
            continue
        if block.language == "python":
            python.append(block.text)
            continue
        run(["bash", "-euo", "pipefail", "-c", block.text], tmp_path, environment)
    run([sys.executable, "-c", "\n".join(python)], tmp_path, environment)
    for made in ("dataset/manifest.json", "metrics.json", "model/model.safetensors", "my-model/model.safetensors"):
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
