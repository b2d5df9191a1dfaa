"""GRU4Rec (Hidasi et al. 2016; Hidasi and Karatzoglou 2018), with cross-entropy or BPR-max."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from hup.config import Section
from hup.models.trained.next_code import (
    CodeTables,
    LevelNetwork,
    NextCodeConfig,
    NextCodeNetwork,
    NextCodeRecommender,
    Steps,
)
from hup.nn.losses import bpr_max
from hup.nn.ragged import run_gru
from hup.sessions.batches import Histories


class GRU4RecNetwork(NextCodeNetwork):
    """The network of GRU4Rec."""

    loss: Literal["cross_entropy", "bpr_max"] = "cross_entropy"
    regularization: NonNegativeFloat = Field(0.5, description="λ of BPR-max")


class GRU4RecConfig(NextCodeConfig):
    """Options of GRU4Rec."""

    network: GRU4RecNetwork = GRU4RecNetwork()


class GRULevel(LevelNetwork):
    """A GRU over the codes of one level."""

    def __init__(self, n_known: int, network: GRU4RecNetwork) -> None:
        super().__init__()
        self.tables = CodeTables(n_known, network.hidden, tied=network.tied)
        self.gru = nn.GRU(network.hidden, network.hidden)
        self.dropout = nn.Dropout(network.dropout)

    def hidden(self, steps: Steps, histories: Histories) -> Tensor:
        """Hidden state after every step, ``(S, hidden)``."""
        x = self.dropout(self.tables.inputs(steps.codes))
        return run_gru(self.gru, x, steps.lengths)


class GRU4Rec(NextCodeRecommender):
    """A GRU over the codes that a session visited."""

    kind: ClassVar[str] = "gru4rec"
    options: ClassVar[type[Section]] = GRU4RecConfig
    config: GRU4RecConfig

    def level_network(self, n_known: int) -> GRULevel:
        """Make the GRU of a level."""
        return GRULevel(n_known, self.config.network)

    def loss(self, tables: CodeTables, hidden: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, or BPR-max over drawn codes."""
        network = self.config.network
        if network.loss == "cross_entropy":
            return super().loss(tables, hidden, target)
        sampled = self.drawn(tables.n_known, at_least=2_048)
        assert sampled is not None
        return bpr_max(hidden, tables.outputs, tables.bias, target, sampled, network.regularization)
