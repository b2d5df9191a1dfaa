"""``--device`` and ``--precision``: what they choose, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from hup.recommender.kinds import load

TINY = ("--set", "network.hidden=8", "--set", "embeddings.skipgram_epochs=2", "--epochs", 1)


@pytest.fixture
def without_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_device_and_precision_are_keys_of_the_configuration(shop, invoke, tmp_path):
    arguments = ("--out", tmp_path / "model", "--preset", "paper", *TINY, "--device", "cpu", "--precision", "bf16")
    done = invoke("train", shop / "dataset", *arguments)
    assert done.exit_code == 0, done.output
    training = load(tmp_path / "model").config.training
    assert (training.device, training.precision) == ("cpu", "bf16")


def test_a_gpu_that_is_not_there_is_told(shop, invoke, without_gpu, tmp_path):
    dataset, model = shop / "dataset", shop / "model"
    for command in (
        ("train", dataset, "--out", tmp_path / "model", *TINY, "--device", "cuda"),
        ("evaluate", model, dataset, "--device", "cuda"),
        (
            *("recommend", model, "--dataset", dataset, "--sessions", "all", "--out", tmp_path / "all.csv"),
            *("--device", "cuda"),
        ),
    ):
        done = invoke(*command)
        assert done.exit_code == 1, done.output
        assert "There is no CUDA device here" in done.stderr
        assert "auto" in done.stderr


def test_one_session_is_answered_by_the_processor(shop, invoke):
    done = invoke(
        "recommend", shop / "model", "--dataset", shop / "dataset", "--session", "log.txt:1", "--device", "cuda"
    )
    assert done.exit_code == 2
    assert "One session is answered by the processor" in done.stderr


def test_a_model_that_is_counted_has_no_device(shop, invoke, tmp_path):
    done = invoke("train", shop / "dataset", "--out", tmp_path / "model", "--model", "vsknn", "--device", "cpu")
    assert done.exit_code == 1
    assert "There is no configuration key training" in done.stderr
    assert invoke("train", shop / "dataset", "--out", tmp_path / "model", "--model", "vsknn").exit_code == 0
    for device, code in (("auto", 0), ("cpu", 0), ("cuda", 1)):
        done = invoke("evaluate", tmp_path / "model", shop / "dataset", "--device", device)
        assert done.exit_code == code
    assert "vsknn has no network: it computes on the processor" in done.stderr
