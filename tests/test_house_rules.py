"""Rules of the house that no linter knows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

MOST_LINES = 400
MOST_COLUMNS = 120

MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|root|work|tmp|opt|usr/local|mnt|Users)/[\w.-]")
PICKLE = re.compile(
    r"^\s*(?:import|from)\s+(?:c?[pP]ickle|dill|joblib|shelve|marshal)\b|\ballow_pickle\s*=\s*True|\btorch\.(?:load|save)\(",
    re.MULTILINE,
)
TEXT = {".py", ".ipynb", ".md", ".toml", ".sh", ".css", ".cfg", ".yml", ".yaml", ".json", ""}
NOT_OURS = {".git", ".hypothesis", ".venv", ".venv-ci", "demo", "build", "dist", "site", "__pycache__"}


def ours(root: Path) -> list[Path]:
    """Text files of the project, without what tools and commands make."""
    files = []
    for folder, below, names in os.walk(root):
        # Not even looked into: an environment has tens of thousands of files.
        below[:] = [part for part in below if part not in NOT_OURS and not part.endswith("_cache")]
        files += [Path(folder, name) for name in names if not name.startswith(".") and Path(name).suffix in TEXT]
    return sorted(files)


def sources(root: Path) -> list[Path]:
    return sorted((root / "src" / "hup").rglob("*.py"))


def test_no_file_is_too_long(root):
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in sources(root)}
    long = {str(path.relative_to(root)): lines for path, lines in lengths.items() if lines > MOST_LINES}
    assert not long, f"more than one subject in them? {long}"


def test_no_line_of_markdown_is_too_long(root):
    wide = [
        f"{path.relative_to(root)}:{number}"
        for path in ours(root)
        if path.suffix == ".md"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > MOST_COLUMNS
    ]
    assert not wide, "\n".join(wide)


def test_nothing_is_pickled(root):
    found = [str(path.relative_to(root)) for path in sources(root) if PICKLE.search(path.read_text(encoding="utf-8"))]
    assert not found


def test_no_path_of_a_machine(root):
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in ours(root)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is_for(root):
    silent = [str(path.relative_to(root)) for path in sources(root) if not path.read_text("utf-8").startswith('"""')]
    assert not silent


def test_no_author_headers_and_no_room_for_anything(root):
    names = [path.name for path in sources(root)]
    assert not {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}.intersection(names)
    assert not [path for path in sources(root) if re.search(r"^\W*@?author", path.read_text("utf-8"), re.M | re.I)]


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (MACHINE_PATH, 'open("/home/anna/x")', "https://example.org/home/x"),
        (MACHINE_PATH, "at /tmp/x", '"${TMPDIR:-/tmp}"'),
        (PICKLE, "    import pickle", "# no pickle here"),
        (PICKLE, "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=False)"),
    ],
)
def test_the_patterns_tell_bad_from_good(pattern, bad, good):
    assert pattern.search(bad)
    assert not pattern.search(good)
