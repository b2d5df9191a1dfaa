"""Imports point one way: from ``cli`` at the top down to ``data``, room by room as in ``MAY_IMPORT``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# Room -> rooms it may import. `errors`, `files`, `behaviors`, `processes` and `config` are single modules below all.
MAY_IMPORT = {
    "behaviors": set(),
    "errors": set(),
    "files": {"errors"},
    "presets": set(),
    "readable": {"errors"},
    "mappings": set(),
    "processes": {"errors"},
    "native": set(),
    "config": {"errors", "presets"},
    "simulator": {"errors", "files", "behaviors"},
    "data": {"errors", "files", "behaviors", "mappings", "readable"},
    "proposing": {"errors", "files", "data"},
    "sessions": {"errors", "data"},
    "nn": {"errors", "config", "native", "processes", "sessions"},
    "recommender": {"errors", "files", "behaviors", "config", "native", "readable", "data", "sessions", "nn"},
    "evaluation": {"errors", "files", "config", "processes", "readable", "data", "sessions", "recommender"},
    # Epochs are chosen by the protocol itself.
    "training": {"errors", "files", "config", "processes", "data", "sessions", "nn", "recommender", "evaluation"},
    "models": {
        *("errors", "files", "config", "native", "readable", "data", "sessions", "nn", "recommender", "evaluation"),
        *("processes", "training"),
    },
    "experiment": {
        *(
            "errors",
            "files",
            "config",
            "processes",
            "data",
            "sessions",
            "recommender",
            "evaluation",
            "training",
            "models",
        ),
    },
    "report": {
        *("errors", "files", "config", "data", "sessions", "recommender", "evaluation", "training", "models"),
        "experiment",
    },
    "serving": {"errors", "files", "config", "simulator", "data", "sessions", "recommender", "models"},
    "cli": {
        *("errors", "files", "config", "simulator", "data", "proposing", "sessions", "recommender", "evaluation"),
        *("processes", "training", "models", "experiment", "report", "serving"),
    },
}

FOREIGN_TO_NN = {"pathlib", "os", "pyarrow", "duckdb", "json", "io", "tempfile", "typer", "rich"}


class Import(NamedTuple):
    module: str
    imported: str
    deferred: bool
    for_types_only: bool


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    source = root / "src"
    for path in sorted((source / "hup").rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, deferred: bool, for_types_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(module, alias.name, deferred, for_types_only) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}, line {child.lineno}: write imports in full, from hup. ..."
                base = child.module or ""
                # `from hup.nn import kernels` names a module as `from hup.nn.kernels import x` does.
                names = [f"{base}.{alias.name}" for alias in child.names] if base in ("hup", "hup.cli") else [base]
                yield from (Import(module, name, deferred, for_types_only) for name in names)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, deferred or function, for_types_only or types)

    yield from walk(tree, False, False)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "hup"


@pytest.fixture(scope="module")
def found(root) -> list[Import]:
    return [entry for name, tree in modules(root) for entry in imports_of(name, tree)]


def test_every_room_is_known(root):
    rooms = {room(name) for name, _ in modules(root)} - {"hup", "__main__"}
    assert rooms <= set(MAY_IMPORT), f"a room without a place in the order: {rooms - set(MAY_IMPORT)}"


def test_the_order_has_no_circle():
    done: set[str] = set()
    left = dict(MAY_IMPORT)
    while left:
        free = {name for name, others in left.items() if others <= done}
        assert free, f"circle among {sorted(left)}"
        done |= free
        left = {name: others for name, others in left.items() if name not in free}


def test_imports_point_one_way(found):
    wrong = [
        f"{entry.module} imports {entry.imported}"
        for entry in found
        if entry.imported.split(".")[0] == "hup"
        and (here := room(entry.module)) in MAY_IMPORT
        and (there := room(entry.imported)) != here
        and there not in MAY_IMPORT[here]
        and not (here in ("cli", "experiment", "report") and entry.imported == "hup.__version__")
    ]
    assert not wrong, "\n".join(wrong)


def test_data_knows_no_torch(found):
    assert not [e for e in found if e.imported.split(".")[0] == "torch" and room(e.module) == "data"]


def test_nn_knows_no_files_and_no_ids(found):
    of_nn = [e for e in found if room(e.module) == "nn"]
    assert not [e for e in of_nn if e.imported.split(".")[0] in FOREIGN_TO_NN]
    assert not [e for e in of_nn if e.imported.startswith("hup.sessions.event")]


def test_the_command_line_is_light_at_the_top(found):
    """What is heavy is imported inside the commands, so that help is at once there."""
    heavy = {"torch", "numpy", "pyarrow", "duckdb", "gensim", "lightgbm", "pydantic"}
    wrong = [
        e
        for e in found
        if room(e.module) == "cli" and not e.deferred and not e.for_types_only and e.imported.split(".")[0] in heavy
    ]
    assert not wrong


def test_this_test_sees_an_import_inside_a_function():
    tree = ast.parse("def f():\n    from hup.cli import app\n\nif TYPE_CHECKING:\n    import torch\n")
    assert list(imports_of("hup.data.x", tree)) == [
        Import("hup.data.x", "hup.cli.app", True, False),
        Import("hup.data.x", "torch", False, True),
    ]
