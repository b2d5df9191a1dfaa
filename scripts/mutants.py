"""Change single lines of the code that models are made of, and see whether the tests that belong to it fail.

A sample is drawn by seed: ``make mutants SEED=1 N=60``. Every mutant is tried in a copy of the tree, with the tests of
its mirror path, those that import its module, those that import what imports it and those of its room, in one process
that stops at the first failure. What runs much longer than without the change counts as killed, too. mutmut and
cosmic-ray do not fit: neither draws a sample by seed, and cosmic-ray has one set of tests for all files.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten

from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("nn", "models", "recommender", "evaluation")
WANTED = 0.9  # share that is to be killed
SLACK, FACTOR = 60, 4  # seconds and times that a mutant may take longer than the tests do without it
OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not slow")


@dataclass(frozen=True)
class Mutant:
    """A change of a file, by its path in the tree."""

    path: str
    mutation: Mutation


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant, and in how many seconds."""

    mutant: Mutant
    fate: str
    seconds: float


@dataclass(frozen=True)
class Related:
    """Which tests belong to which module of a tree."""

    tree: Path

    def tests(self, path: str) -> list[str]:
        """Give the tests of a source file: its own, those that import it, those at second hand, and its room's."""
        module = _module(path)
        inner, name = Path(path).relative_to("src/hup").parent, Path(path).stem
        importers = {other for other, names in self._sources.items() if module in names and other != "hup"}
        ranks = {}
        for test, names in self._tests.items():
            stem = Path(test).stem
            alike = stem.startswith(f"test_{name}") or f"test_{name}".startswith(f"{stem}_")
            own = alike and Path(test).parent == Path("tests") / inner
            if own or module in names:
                ranks[test] = (not own, test)
            elif importers & names:
                ranks[test] = (2, test)
            elif Path(test).parts[1] == inner.parts[0]:
                ranks[test] = (3, test)
        return sorted(ranks, key=ranks.__getitem__)

    @cached_property
    def _sources(self) -> dict[str, set[str]]:
        files = {_module(str(file.relative_to(self.tree))): file for file in (self.tree / "src").rglob("*.py")}
        return {name: _imports(file, name) for name, file in files.items()}

    @cached_property
    def _tests(self) -> dict[str, set[str]]:
        """What each test file imports, by itself or by the helpers that it imports."""
        files = {_module(str(file.relative_to(self.tree))): file for file in (self.tree / "tests").rglob("*.py")}
        own = {name: _imports(file, name) for name, file in files.items()}
        return {
            str(files[name].relative_to(self.tree)): names.union(*(own.get(other, ()) for other in names))
            for name, names in own.items()
            if files[name].name.startswith("test_")
        }


def _module(path: str) -> str:
    """Dotted name of a file: ``hup.nn.mixture``, ``tests.nn.test_mixture``."""
    return ".".join(Path(path).with_suffix("").parts).removeprefix("src.").removesuffix(".__init__")


def _imports(file: Path, name: str) -> set[str]:
    """Modules that a file of this dotted name imports; of ``from a import b`` both ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def draw(rooms: Sequence[str], n: int, seed: int) -> list[Mutant]:
    """Draw as many lines of the rooms, and one change of each."""
    lines: defaultdict[tuple[str, int], list[Mutation]] = defaultdict(list)
    for room in rooms:
        for file in sorted((ROOT / "src" / "hup" / room).rglob("*.py")):
            path = str(file.relative_to(ROOT))
            for mutation in mutations(file.read_text(encoding="utf-8")):
                lines[path, mutation.line].append(mutation)
    drawn = random.Random(seed)
    chosen = drawn.sample(sorted(lines), min(n, len(lines)))
    return sorted(
        (Mutant(path, drawn.choice(lines[path, line])) for path, line in chosen),
        key=lambda m: (m.path, m.mutation.line),
    )


class Copies:
    """Copies of the tree, one for each process at a time, and the tests run in them."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.trees = [folder / str(number) for number in range(jobs)]
        self.lock = threading.Lock()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for tree in self.trees:
            for name in listed.stdout.decode().split("\0"):
                if name and (ROOT / name).is_file():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, tree / name)

    def pytest(self, tree: Path, arguments: Sequence[str], timeout: float | None = None) -> subprocess.CompletedProcess:
        """Run tests on the sources of a copy."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = {**os.environ, "PYTHONPATH": str(tree / "src"), **dict.fromkeys(names, "1")}
        command = [sys.executable, "-m", "pytest", *OPTIONS, *arguments]
        return subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def seconds(self, tests: Sequence[str]) -> dict[str, float]:
        """Run tests as they are, which must pass, and tell how long each file takes."""
        done = self.pytest(self.trees[0], ["--durations=0", "--durations-min=0.005", *tests])
        if done.returncode:
            sys.exit(f"The tests fail without any change.\n{done.stdout}{done.stderr}")
        seconds: defaultdict[str, float] = defaultdict(float)
        for took, test in re.findall(r"^([\d.]+)s \w+ +([^:\s]+)::", done.stdout, re.MULTILINE):
            seconds[test] += float(took)
        return seconds

    def attempt(self, mutant: Mutant, tests: Sequence[str], timeout: float) -> Outcome:
        """Make the change in a copy, run tests, and take it back."""
        with self.lock:
            tree = self.trees.pop()
        file, start = tree / mutant.path, time.monotonic()
        before, change = file.read_bytes(), mutant.mutation
        compiled = Path(importlib.util.cache_from_source(str(file)))
        try:
            file.write_bytes(before[: change.start] + change.text.encode() + before[change.end :])
            compiled.unlink(missing_ok=True)
            code = self.pytest(tree, tests, timeout).returncode if tests else 0
            fate = {0: "survived", 1: "killed", 2: "killed", 4: "killed"}.get(code, f"pytest ended with {code}")
        except subprocess.TimeoutExpired:
            fate = "killed"  # it never ends
        finally:
            file.write_bytes(before)
            compiled.unlink(missing_ok=True)
            with self.lock:
                self.trees.append(tree)
        return Outcome(mutant, fate, time.monotonic() - start)


def outcomes(mutants: Sequence[Mutant], jobs: int) -> Iterator[Outcome]:
    """Try all mutants, in order, with so many processes at a time."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        copies = Copies(Path(folder), jobs)
        related = Related(copies.trees[0])
        tests = {path: related.tests(path) for path in {mutant.path for mutant in mutants}}
        seconds = copies.seconds(sorted({test for some in tests.values() for test in some}))

        def attempt(mutant: Mutant) -> Outcome:
            mine = tests[mutant.path]
            return copies.attempt(mutant, mine, SLACK + FACTOR * sum(seconds.get(test, 0) for test in mine))

        yield from pool.map(attempt, mutants)


def main() -> int:
    """Print what became of every mutant, and the score; fail where too few are killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, help=f"folders of src/hup (default: {' '.join(ROOMS)})")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--n", type=int, default=60, help="mutants (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time (default: 1)")
    parser.add_argument("--list", action="store_true", help="show the sample, and try nothing")
    options = parser.parse_args()
    mutants = draw(options.rooms, options.n, options.seed)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.path.removeprefix('src/hup/')}:{mutant.mutation.line}  {mutant.mutation.told}")
        return 0
    print(f"{len(mutants)} mutants of seed {options.seed} in {', '.join(options.rooms)}", flush=True)
    killed = 0
    for outcome in outcomes(mutants, options.jobs):
        killed += outcome.fate == "killed"
        place = f"{outcome.mutant.path.removeprefix('src/hup/')}:{outcome.mutant.mutation.line}"
        told = shorten(outcome.mutant.mutation.told, 160, placeholder=" …")
        print(f"{outcome.fate:9}{outcome.seconds:6.0f} s  {place:44}  {told}", flush=True)
    print(f"{killed} of {len(mutants)} killed; wanted are {WANTED:.0%}")
    return int(killed < WANTED * len(mutants))


if __name__ == "__main__":
    sys.exit(main())
