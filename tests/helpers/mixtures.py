"""Mixtures with weights that nobody trained, and what they say of the queries of training sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hup.config import Config
from hup.data.dataset import Dataset
from hup.models.hup.mixture.answer import Answer
from hup.models.hup.mixture.likelihood import Followed, mixture_likelihood
from hup.models.hup.mixture.output import MixtureOutput
from hup.models.hup.mixture.own_counts import OwnCounts
from hup.models.hup.mixture.visits import RunTable, joined, run_table
from hup.models.hup.model import HUP
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import Level

QUICK = ("network.hidden=8", "embeddings.item=12", "embeddings.category=6", "training.epochs=1")


def mixture(dataset: Dataset, *changes: str) -> HUP:
    """Make a model whose weights are large enough for every part to matter."""
    model = HUP(Config.preset("best", [*QUICK, *changes])).initialise(dataset)
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter.data, std=0.3)
    network = output_of(model).network
    for level in network.ordered:
        network.weigh(level, reranking=1.0)
        for parameter in network.reranker(level).layers.parameters():
            torch.nn.init.normal_(parameter.data, std=0.3)
    return model


def output_of(model: HUP) -> MixtureOutput:
    assert isinstance(model.output, MixtureOutput)
    return model.output


@dataclass(frozen=True)
class Said:
    """What training sees of one level at every run of whole sessions but the last, ``(Q,)`` each."""

    answer: Answer
    following: np.ndarray
    named: torch.Tensor
    unseen: torch.Tensor


def said_in_training(model: HUP, dataset: Dataset, sessions: np.ndarray) -> tuple[RunTable, dict[Level, Said]]:
    """Ask as the loss asks: whole sessions at once, each without what it has itself put into the counts."""
    histories, targets = histories_and_targets(dataset, sessions)
    table = run_table(histories, len(model.vocabulary.behaviors))
    whole = joined(table, targets.item.numpy(), targets.categories.numpy())
    network, said = output_of(model).network, {}
    for level in network.ranked:
        popularity = network.mixture(level).counts.numpy()
        own = OwnCounts.of(network.co_visits[level], popularity, whole.codes(level), whole.offsets)
        answer = network.answer(level, table, network.visits(table, level), own.co_visits)
        asked = Followed.of(table, whole, level)
        named, unseen = mixture_likelihood(network, level, answer, asked, own)
        said[level] = Said(answer, asked.code, named.detach(), unseen.detach())
    return table, said
