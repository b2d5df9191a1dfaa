"""GRU4Rec (Hidasi et al. 2016; Hidasi and Karatzoglou 2018), with cross-entropy or BPR-max."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from hup.config import Section
from hup.errors import HupError
from hup.models.trained.next_code import (
    DRAWN,
    CodeTables,
    LevelNetwork,
    NextCodeConfig,
    NextCodeNetwork,
    NextCodeRecommender,
    Steps,
)
from hup.nn.losses import bpr_max
from hup.nn.ragged import run_gru
from hup.nn.taught import Taught, draw_codes
from hup.sessions.batches import Histories


class GRU4RecNetwork(NextCodeNetwork):
    """The network of GRU4Rec."""

    loss: Literal["cross_entropy", "bpr_max"] = "cross_entropy"
    regularization: NonNegativeFloat = Field(1.0, description="λ of BPR-max")
    elu: PositiveFloat = Field(1.0, description="α of the ELU that scores go through in BPR-max")
    sample_alpha: float = Field(
        0.3,
        ge=0,
        le=1,
        description=f"BPR-max draws its network.negatives (0 = {DRAWN:,}) by their count to this power; 0 = evenly",
    )


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

    def check_divisible(self) -> None:
        """Check that no target is compared with those of the batch's other sessions."""
        if self.config.network.loss == "bpr_max":
            raise HupError(
                "gru4rec with network.loss=bpr_max compares the sessions of a batch with each other, so it does not "
                "train on several processes. Train it on one, or with --set network.loss=cross_entropy."
            )

    def loss(self, level: str, taught: Taught) -> Tensor:
        """Cross-entropy; or BPR-max over the targets of other sessions and, beside them, drawn codes."""
        network = self.config.network
        if network.loss == "cross_entropy" or not len(taught):
            return super().loss(level, taught)
        counts = torch.from_numpy(self.vocabulary.counts[level])
        drawn = taught.drawn(self._drawn(draw_codes(counts, network.negatives or DRAWN, network.sample_alpha)))
        negatives = taught.of_other_histories() + drawn
        return bpr_max(taught.positive(), negatives, network.regularization, network.elu)
