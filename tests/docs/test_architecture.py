"""docs/architecture.md is true: the files and functions it names are there, and its recipe makes a recommender."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import hup
from hup.data.dataset import Dataset
from hup.recommender.base import Recommender
from hup.recommender.kinds import KINDS
from hup.sessions.batches import Histories, histories_and_targets
from hup.sessions.runs import training_runs

FILE = re.compile(r"`([a-z_]+(?:/[a-z_0-9]+)*\.py)`")
NAMED = re.compile(FILE.pattern + r"\s+\((`[A-Za-z_.]+`(?:,\s+`[A-Za-z_.]+`)*)\)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
STEP = re.compile(r"^\d+\. .*?(?=^\d+\. |\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    return re.split(r"^## ", page.split(f"## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def definitions(path: Path) -> set[str]:
    """Names at the top of a module, and ``Class.method``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, FUNCTIONS)}
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


# ---------------------------------------------------------------------- names


def test_every_file_is_there(root, page):
    named = FILE.findall(page)
    assert len(set(named)) > 15
    assert not [name for name in named if not (root / "src" / "hup" / name).is_file()]


def test_every_function_is_in_its_file(root, page):
    named = [
        (file, name.strip("`")) for file, names in NAMED.findall(page) for name in re.findall(r"`[A-Za-z_.]+`", names)
    ]
    assert len(named) > 15
    assert not [(file, name) for file, name in named if name not in definitions(root / "src" / "hup" / file)]


def test_an_event_is_followed_in_eleven_steps(page):
    steps = STEP.findall(section(page, "Follow one event"))
    assert len(steps) == 11
    assert all(FILE.search(step) for step in steps)


def test_every_room_is_in_the_table(root, page):
    rooms = {path.name for path in (root / "src" / "hup").iterdir() if path.is_dir() and path.name != "__pycache__"}
    told = set(re.findall(r"^\| `([a-z]+)` \|", section(page, "Rooms"), re.MULTILINE))
    assert told == rooms - {"presets", "mappings"}, "folders of text apart"


def test_the_patterns_see_what_they_should(page):
    assert NAMED.findall("in `a/b.py` (`f`,\n   `C.g`), `c.py`") == [("a/b.py", "`f`,\n   `C.g`")]
    assert FILE.findall("in `a/b.py` (`f`), `c.py`, `models/`") == ["a/b.py", "c.py"]


# ---------------------------------------------------------------------- the recipe


@pytest.fixture(scope="module")
def recipe(page, tmp_path_factory) -> ModuleType:
    """The code of the recipe as a module, which is how it is told to be used."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", section(page, "Add a baseline"), re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("recipe") / "successor.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("successor", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("shop")
    config = hup.SimulatorConfig(sessions=150, items=300, levels=2, mean_events=12, seed=3)
    hup.simulate(config, folder / "log.txt", format="jd")
    return hup.prepare(folder / "log.txt", out=folder / "dataset")


@pytest.fixture(scope="module")
def model(recipe, dataset) -> Recommender:
    model = recipe.Successor()
    assert model.fit(dataset) is model
    return model


def of_test(dataset: Dataset) -> Histories:
    return histories_and_targets(dataset, np.asarray(dataset.sessions("test"), dtype=np.int64))[0]


def test_it_scores_what_it_says(model, dataset):
    """By counting pairs of runs one by one."""
    given = of_test(dataset)
    for level in model.levels:
        codes, offsets = training_runs(dataset, level)
        pairs = Counter(pair for low, high in pairwise(offsets) for pair in pairwise(codes[low:high].tolist()))
        scores = model.score(given, level)
        n_known = model.vocabulary.size(level)
        assert scores.known.shape == (len(given), n_known)
        for current, row in zip(given.current(level).tolist(), scores.known, strict=True):
            assert row.floor().tolist() == [pairs[current, code] for code in range(n_known)]
        assert scores.known.unique().numel() > 3
        assert torch.equal(scores.own_codes, given.own_unknown(level, n_known).codes)


def test_it_takes_items_that_training_never_saw(model, dataset):
    given = of_test(dataset)
    strange = replace(given, item=given.item + dataset.n_items)
    scores = model.score(strange, "item")
    assert (scores.own_codes >= 0).any(dim=1).all()
    assert torch.isfinite(scores.known).all()
    assert torch.equal(scores.known, scores.known[:1].expand_as(scores.known)), "popularity alone"


def test_the_company_in_a_batch_changes_nothing(model, dataset):
    for level in model.levels:
        together = model.score(of_test(dataset), level).known
        for row, session in zip(together, list(dataset.sessions("test"))[:5], strict=False):
            alone = histories_and_targets(dataset, np.asarray([session]))[0]
            assert torch.equal(model.score(alone, level).known[0], row)


def test_it_learns_from_training_sessions_alone(recipe, model, dataset):
    bounds = dataset.manifest.split.bounds
    item = dataset.item.copy()
    item[dataset.offsets[bounds.validation[0]] :] = np.iinfo(np.int32).max
    other = recipe.Successor().fit(replace(dataset, item=item))
    for level in model.levels:
        assert torch.equal(other.score(of_test(dataset), level).known, model.score(of_test(dataset), level).known)


def test_it_is_saved_and_opened_by_its_kind(recipe, model, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "successor", recipe)
    monkeypatch.setitem(KINDS, "successor", ("successor", "Successor"))
    model.save_pretrained(tmp_path / "model")
    opened = hup.load(tmp_path / "model")
    assert type(opened) is recipe.Successor
    for level in model.levels:
        assert torch.equal(opened.score(of_test(dataset), level).known, model.score(of_test(dataset), level).known)


def test_it_recommends_and_is_judged(model, dataset):
    answer = model.recommend([{"item": dataset.item_names[0], "behavior": "1"}], k=5)
    assert len(answer.ranked) == 5
    assert answer.basis == "score"
    judged = hup.evaluate(model, dataset)
    for level in model.levels:
        assert judged.rows["successor"][level]["sessions"] == len(dataset.sessions("test"))
    assert judged.rows["successor"]["item"]["mrr@20"] > judged.rows["popularity"]["item"]["mrr@20"]


def test_it_says_that_it_is_not_fitted(recipe, dataset):
    with pytest.raises(hup.HupError, match="fit"):
        recipe.Successor().score(of_test(dataset), "item")
