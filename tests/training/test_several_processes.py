"""Several processes train and evaluate as one does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hup
from hup import processes
from hup.errors import HupError
from hup.experiment.workers import Workers
from hup.models.trained.gru4rec import GRU4Rec, GRU4RecConfig
from hup.models.trained.s_hrnn import SHRNN
from hup.sessions.batches import histories_and_targets
from hup.training import fit
from hup.training.step import sum_gradients
from hup.training.trained import TrainedRecommender

from ..helpers.several_processes import EPOCHS, MODELS, fit_and_judge, losses, run, torchrun

#: What two processes begin with; one of them is gone on with.
FEW = ("paper", "gru4rec")


@dataclass(frozen=True)
class Made:
    """Folders in which one process and two have trained and judged the same models."""

    names: tuple[str, ...]
    alone: Path
    two: Path


@pytest.fixture(
    scope="module",
    params=[FEW, tuple(name for name in MODELS if name not in FEW)],
    ids=["few", "others"],
)
def made(request, dataset, dataset_folder, root, tmp_path_factory) -> Made:
    """What one process makes of some models, and what two make of them."""
    alone, two = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("two")
    for name in request.param:
        fit_and_judge(name, dataset, alone)
    if "paper" in request.param:
        shutil.copytree(alone / "paper", two / "begun-by-one")
    done = run(torchrun("tests.helpers.several_processes", str(dataset_folder), str(two), *request.param), root)
    assert done.returncode == 0, done.stderr
    return Made(request.param, alone, two)


def close(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
def test_the_losses_are_those_of_one_process(made):
    for name in made.names:
        close(losses(made.two / name), losses(made.alone / name))


@pytest.mark.slow
def test_the_processes_part_before_they_end(made):
    """A thread of the backend that asks for Python's lock while Python ends aborts its process, now and then."""
    assert sorted(path.name for path in made.two.glob("parted-*")) == ["parted-0", "parted-1"]


@pytest.mark.slow
def test_figures_are_those_of_one_process(dataset, made, tmp_path):
    """The same model, judged by one and by two: every rank, every figure, to the last bit."""
    for name in made.names:
        judged = hup.evaluate(hup.load(made.two / name), dataset, batch_size=8, metrics=("recall", "mrr", "coverage"))
        judged.write_json(tmp_path / "again.json")
        judged.write_ranks(tmp_path / "again.parquet")
        for again in ("again.json", "again.parquet"):
            by_two = made.two / again.replace("again", name)
            assert (tmp_path / again).read_bytes() == by_two.read_bytes(), by_two


@pytest.mark.slow
@pytest.mark.parametrize("made", [FEW], indirect=True, ids=["few"])
def test_a_run_goes_on_with_another_number_of_processes(dataset, made, tmp_path):
    model = MODELS["paper"]()
    model.config = model.config.changed([f"training.epochs={2 * EPOCHS}"])
    model.fit(dataset, out=tmp_path / "one")
    shutil.copytree(made.two / "paper", tmp_path / "begun-by-two")
    model.fit(dataset, out=tmp_path / "begun-by-two", resume=True)
    close(losses(tmp_path / "begun-by-two"), losses(tmp_path / "one"))
    close(losses(made.two / "begun-by-one"), losses(tmp_path / "one"))


def test_the_last_batch_has_fewer_sessions_than_there_are_processes(dataset):
    assert len(dataset.sessions("train")) % MODELS["paper"]().config.training.batch_size == 1


# ---------------------------------------------------------------------- a batch in shares


@pytest.fixture(scope="module")
def fresh(dataset) -> dict[str, TrainedRecommender]:
    """Every model before training."""
    return {name: make().initialise(dataset) for name, make in MODELS.items()}


def gradients(model: TrainedRecommender, dataset: hup.Dataset, shares: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Gradients of a batch in several shares, each mean weighed by what it is over."""
    if hasattr(model, "begin_epoch"):
        model.begin_epoch()
    made = [model.losses(*histories_and_targets(dataset, share)) for share in shares]
    counts = {
        level: [sum(one[level].means[place].count for one in made) for place in range(len(loss.means))]
        for level, loss in made[0].items()
    }
    total = torch.stack(
        [
            model.level_weights()[level] * mean.weight * mean.value * (mean.count / max(count, 1))
            for losses in made
            for level, loss in losses.items()
            for mean, count in zip(loss.means, counts[level], strict=True)
        ]
    ).sum()
    named = {name: one for name, one in model.network.named_parameters() if one.requires_grad}
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name: one for name, one in zip(named, found, strict=True) if one is not None}


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=5)
def test_the_gradient_of_a_batch_is_that_of_its_shares(fresh, dataset, name, data):
    train = dataset.sessions("train")
    sessions = data.draw(st.lists(st.integers(train.start, train.stop - 1), min_size=3, max_size=12, unique=True))
    cut = data.draw(st.integers(1, len(sessions) - 1))
    batch = np.asarray(sessions)
    model = fresh[name]
    if name in ("best", "gru4rec"):  # what is drawn is drawn once for all shares: see the test of two processes
        model = MODELS[name]()
        model.config = model.config.changed(["mixture.negatives=1000"] if name == "best" else ["network.negatives=0"])
        model.initialise(dataset)
    whole = gradients(model, dataset, [batch])
    shared = gradients(model, dataset, [batch[:cut], batch[cut:]])
    assert whole.keys() == shared.keys()
    for parameter, expected in whole.items():
        torch.testing.assert_close(
            shared[parameter], expected, rtol=1e-4, atol=1e-6, msg=lambda m, p=parameter: f"{p}: {m}"
        )


@given(st.integers(1, 9), st.integers(0, 40))
def test_every_value_is_in_one_share(count, n):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "size", lambda: count)
        shares = []
        for number in range(count):
            patch.setattr(processes, "number", lambda number=number: number)
            shares += processes.share(range(n))
    assert sorted(shares) == list(range(n))


def test_a_parameter_without_a_gradient_anywhere_stays_without():
    """An optimizer leaves it alone; a gradient of 0 would move it on."""
    with_one, without = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    with_one.grad = torch.tensor([1.0, 2.0])
    sum_gradients([with_one, without])
    assert with_one.grad.tolist() == [1.0, 2.0]
    assert without.grad is None


# ---------------------------------------------------------------------- what several cannot do


@pytest.mark.parametrize(
    ("model", "loss"),
    [(SHRNN(), "top1"), (GRU4Rec(GRU4RecConfig().changed(["network.loss=bpr_max"])), "bpr_max")],
)
def test_losses_that_compare_sessions_need_one_process(monkeypatch, dataset, model, loss):
    monkeypatch.setattr(processes, "size", lambda: 2)
    with pytest.raises(HupError, match=rf"{model.kind} with network\.loss={loss}.*cross_entropy"):
        model.fit(dataset)


def test_a_model_that_is_counted_needs_one_process(monkeypatch, dataset, tmp_path):
    monkeypatch.setattr(processes, "size", lambda: 2)
    with pytest.raises(HupError, match="vsknn is not trained on several processes"):
        fit(hup.recommender.kinds.model_class("vsknn")(), dataset, tmp_path / "model")


def test_a_grid_has_processes_of_its_own(monkeypatch, dataset_folder, tmp_path):
    monkeypatch.setattr(processes, "together", lambda: True)
    with pytest.raises(HupError, match="without torchrun"):
        Workers(dataset_folder, tmp_path, "default", 1)


def test_all_need_the_same_dataset(monkeypatch, dataset):
    monkeypatch.setattr(processes, "size", lambda: 2)
    monkeypatch.setattr(processes, "told", lambda tell: "0" * 64)
    with pytest.raises(HupError, match="000000000000 for the first process"):
        MODELS["paper"]().fit(dataset)
