"""SASRec (Kang and McAuley 2018) with cross-entropy over all codes at every step (Klenitskiy and Vasilev 2023)."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from hup.config import Section, Training
from hup.models.trained.next_code import (
    CodeTables,
    LevelNetwork,
    NextCodeConfig,
    NextCodeNetwork,
    NextCodeRecommender,
    Steps,
)
from hup.sessions.batches import Histories

#: Up to so many codes the softmax goes over all of them, which is what this row is about.
WHOLE_SOFTMAX = 16_384


class SASRecNetwork(NextCodeNetwork):
    """The network of SASRec."""

    hidden: PositiveInt = 64
    blocks: PositiveInt = Field(2, description="of self-attention and two dense layers each")
    heads: PositiveInt = Field(1, description="of the self-attention; hidden is a multiple of it")
    dropout: float = Field(0.3, ge=0, lt=1, description="of what is read, of attention weights and dense layers")
    negatives: NonNegativeInt = Field(
        0,
        description=f"codes that are drawn for the softmax; 0 = all, and 2,048 where there are over {WHOLE_SOFTMAX:,}",
    )
    max_length: PositiveInt = Field(
        50, description="item runs that are looked at: a longer session is read in pieces of so many, cut from its end"
    )

    @model_validator(mode="after")
    def _heads_share_the_units(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden}, expected a multiple of heads, {self.heads}")
        return self


class SASRecConfig(NextCodeConfig):
    """Options of SASRec."""

    training: Training = Training(epochs=60, batch_size=64, learning_rate=0.003, patience=5)
    network: SASRecNetwork = SASRecNetwork()


class SASRecLevel(LevelNetwork):
    """Causal self-attention over the codes of one level and their positions."""

    def __init__(self, n_known: int, network: SASRecNetwork) -> None:
        super().__init__()
        self.max_length = network.max_length
        self.tables = CodeTables(n_known, network.hidden, tied=network.tied)
        self.positions = nn.Embedding(network.max_length, network.hidden)
        self.dropout = nn.Dropout(network.dropout)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                network.hidden,
                network.heads,
                dim_feedforward=network.hidden,
                dropout=network.dropout,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(network.blocks)
        )
        self.norm = nn.LayerNorm(network.hidden)

    def hidden(self, steps: Steps, histories: Histories) -> Tensor:
        """Hidden state at every step, ``(S, hidden)``, of what its piece holds up to it."""
        lengths = pieces(steps.lengths, self.max_length)
        piece = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        place = torch.arange(len(piece), device=piece.device) - (lengths.cumsum(0) - lengths)[piece]
        x = self.tables.inputs(steps.codes) * self.tables.inputs.embedding_dim**0.5 + self.positions(place)
        # Padding stands behind the steps, where no step looks.
        longest = int(lengths.max())
        at = piece * longest + place
        padded = x.new_zeros(len(lengths) * longest, x.shape[1]).index_copy(0, at, self.dropout(x))
        padded = padded.view(len(lengths), longest, -1)
        causal = nn.Transformer.generate_square_subsequent_mask(longest, device=x.device)
        for block in self.blocks:
            padded = block(padded, src_mask=causal, is_causal=True)
        hidden: Tensor = self.norm(padded.flatten(0, 1).index_select(0, at))
        return hidden


class SASRec(NextCodeRecommender):
    """Self-attention over the codes that a session visited.

    Positions are counted from the beginning of the session, or of the piece of it that is looked at, so that a session
    says the same whatever comes later.
    """

    kind: ClassVar[str] = "sasrec"
    options: ClassVar[type[Section]] = SASRecConfig
    config: SASRecConfig
    whole_softmax: ClassVar[int] = WHOLE_SOFTMAX
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("network.dropout=0.5",),
        ("training.learning_rate=0.001",),
        ("network.hidden=128", "network.heads=2"),
        ("network.blocks=1",),
        ("network.tied=false",),
    )

    def level_network(self, n_known: int) -> SASRecLevel:
        """Make the network of a level."""
        return SASRecLevel(n_known, self.config.network)


def pieces(lengths: Tensor, most: int) -> Tensor:
    """Cut sequences, from their ends on, into pieces of ``most`` steps; the first of each may be shorter.

    Parameters
    ----------
    lengths : Tensor
        ``(B,)`` int64, each at least 1.
    most : int

    Returns
    -------
    Tensor
        ``(P,)``, lengths of the pieces in the order of the sequences.
    """
    count = (lengths + most - 1) // most
    cut = lengths.new_full((int(count.sum()),), most)
    cut[count.cumsum(0) - count] = lengths - (count - 1) * most
    return cut
