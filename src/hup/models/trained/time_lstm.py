"""Time-LSTM as a recommender (Zhu et al. 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
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
from hup.nn.time_lstm import TimeLSTMLayer, Version
from hup.sessions.batches import Histories

#: log(1 + seconds) of an hour is 8.2, so that scaled intervals are of the order of 1.
INTERVAL_SCALE = 8.0


class TimeLSTMNetwork(NextCodeNetwork):
    """The network of Time-LSTM."""

    version: Version = Field(1, description="Time-LSTM 1, 2 or 3")


class TimeLSTMConfig(NextCodeConfig):
    """Options of Time-LSTM."""

    network: TimeLSTMNetwork = TimeLSTMNetwork()
    training: Training = Training(epochs=60, batch_size=64, learning_rate=0.01, patience=5)


class TimeLSTMLevel(LevelNetwork):
    """A Time-LSTM over the codes of one level and the intervals between them."""

    def __init__(self, n_known: int, network: TimeLSTMNetwork) -> None:
        super().__init__()
        self.tables = CodeTables(n_known, network.hidden, tied=network.tied)
        self.layer = TimeLSTMLayer(network.hidden, network.hidden, network.version)
        self.unknown_interval = nn.Parameter(torch.tensor(0.5))
        self.dropout = nn.Dropout(network.dropout)

    def hidden(self, steps: Steps, histories: Histories) -> Tensor:
        """Hidden state at every step, ``(S, hidden)``; only the last step of a history may know its interval."""
        seconds = steps.runs.interval
        scaled = torch.log1p(torch.nan_to_num(seconds).clamp(min=0)) / INTERVAL_SCALE
        interval = torch.where(seconds.isnan(), self.unknown_interval, scaled)
        is_end = torch.zeros(len(seconds), dtype=torch.bool, device=seconds.device)
        is_end[steps.ends] = True
        shown = torch.where(is_end, interval, self.unknown_interval)
        hidden: Tensor = self.layer(self.dropout(self.tables.inputs(steps.codes)), interval, shown, steps.lengths)
        return hidden


class TimeLSTM(NextCodeRecommender):
    """A Time-LSTM over the codes that a session visited and the time between them.

    Intervals are read as ``log(1 + seconds)``: they range from a second to days, and what counts is their order of
    size.
    """

    kind: ClassVar[str] = "time-lstm"
    options: ClassVar[type[Section]] = TimeLSTMConfig
    config: TimeLSTMConfig

    def level_network(self, n_known: int) -> TimeLSTMLevel:
        """Make the Time-LSTM of a level."""
        return TimeLSTMLevel(n_known, self.config.network)
