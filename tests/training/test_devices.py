"""Where training computes, and how precisely: all tensors follow the network's device."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import hup
from hup.errors import HupError
from hup.evaluation import evaluate
from hup.nn import devices

from ..helpers import pretend_device
from ..helpers.several_processes import MODELS
from ..helpers.training import Notes, StopAfter, assert_same, weights
from .conftest import SMALL

FEW = ("paper",)


def small(*overrides: str) -> hup.Config:
    return hup.Config.preset("paper", [*SMALL, "training.epochs=2", *overrides])


# ---------------------------------------------------------------------- another device


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_training_and_answers_follow_the_device(dataset, monkeypatch, tmp_path, name):
    """To the same losses and answers, and to a model that is on the processor again."""
    here, there = Notes(), Notes()
    one_epoch = MODELS[name]().config.changed(["training.epochs=1"])
    trained = type(MODELS[name]())
    trained(one_epoch).fit(dataset, observer=here)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # the pretended tensors cannot be of inference
    monkeypatch.setattr("hup.training.loop.chosen", lambda name: torch.device(pretend_device.NAME))
    for kind in (torch.optim.Adam, torch.optim.AdamW):  # in one pass they are for real devices alone
        step_by_step = partial(kind, fused=False)
        monkeypatch.setattr(
            torch.optim, kind.__name__, lambda *given, make=step_by_step, fused, **options: make(*given, **options)
        )
    with pretend_device.PretendDevice():
        model = trained(one_epoch).fit(dataset, out=tmp_path / "model", observer=there)
    assert model.device.type == "cpu"
    for one, other in zip(there.records, here.records, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    opened = hup.load(tmp_path / "model")
    assert opened.device.type == "cpu"
    ranks = evaluate(opened, dataset).ranks[opened.name]
    many = opened.recommend_many(dataset, sessions="all", level="all", k=3)
    with pretend_device.PretendDevice():
        opened.network.to(pretend_device.NAME)
        ranks_there = evaluate(opened, dataset).ranks[opened.name]
        many_there = opened.recommend_many(dataset, sessions="all", level="all", k=3)
    for level, expected in ranks.items():
        assert np.mean(ranks_there[level] == expected) >= 0.95  # what is all but equal may change places
    np.testing.assert_allclose(many_there["score"], many["score"], rtol=1e-3, atol=1e-6)


def test_the_pretended_device_does_not_mix_with_the_processor():
    with pretend_device.PretendDevice():
        there = torch.ones(2, device=pretend_device.NAME)
        assert there.device.type == pretend_device.NAME
        assert (there + 1).sum().item() == 4
        assert there.cpu().numpy().tolist() == [1, 1]
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(2)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()


def test_a_run_goes_on_on_another_device(dataset, monkeypatch, tmp_path):
    expected = weights(hup.HUP(small()).fit(dataset))
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(small("training.device=cpu")).fit(dataset, out=tmp_path / "model", observer=StopAfter(1))
    again = hup.HUP(small("training.device=auto")).fit(dataset, out=tmp_path / "model")
    assert_same(weights(again), expected)
    assert hup.load(tmp_path / "model").config.training.device == "auto"


# ---------------------------------------------------------------------- which one


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [("auto", 0, "cpu"), ("cpu", 2, "cpu"), ("auto", 2, "cuda:1"), ("cuda", 2, "cuda:1"), ("cuda", 1, "cuda:0")],
)
def test_every_process_of_a_machine_has_a_gpu_as_far_as_they_go(monkeypatch, name, there, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setattr("hup.processes.place_on_machine", lambda: 1)
    assert str(devices.chosen(name)) == expected


def test_a_gpu_that_is_not_there_is_told(dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HupError, match=r"no CUDA device.*auto"):
        hup.HUP(small("training.device=cuda")).fit(dataset, out=tmp_path / "model")
    with pytest.raises(HupError, match=r"no CUDA device.*auto"):
        hup.HUP(small()).initialise(dataset).to("cuda")


# ---------------------------------------------------------------------- how precisely


@pytest.mark.parametrize(
    "name", [name if name in (*FEW, "best") else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_16_bits_train_nearly_as_32(dataset, name):
    precise, rough = Notes(), Notes()
    MODELS[name]().fit(dataset, observer=precise)
    model = MODELS[name]()
    model.config = model.config.changed(["training.precision=bf16"])
    model.fit(dataset, observer=rough)
    losses = [[record["loss"] for record in watched.records] for watched in (precise, rough)]
    assert losses[0] != losses[1]
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=0.03, abs=0.01)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def test_a_run_does_not_change_its_precision_on_the_way(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        hup.HUP(small()).fit(dataset, out=tmp_path / "model", observer=StopAfter(1))
    with pytest.raises(HupError, match=r"training\.precision = 'fp32', not 'bf16'"):
        hup.HUP(small("training.precision=bf16")).fit(dataset, out=tmp_path / "model")
