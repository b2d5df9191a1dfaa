"""A GRU that stands where a Behavior-LSTM stands, for what the pyramid is compared with."""

from __future__ import annotations

from torch import Tensor, nn

from hup.nn.ragged import run_gru


class GRU(nn.Module):
    """A GRU over ragged sequences with the face of :class:`~hup.nn.behavior_lstm.BehaviorLSTM`, without its gates.

    Parameters
    ----------
    input_size, hidden_size : int

    Attributes
    ----------
    interval_size, behavior_size : int
        0: there are no such gates.
    """

    interval_size = behavior_size = 0

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gru = nn.GRU(input_size, hidden_size)

    def run(
        self, x: Tensor, interval: Tensor | None, behavior: Tensor | None, lengths: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Run over ragged sequences; see :meth:`BehaviorLSTM.run`. Gates are not looked at, the cell is the state."""
        hidden = run_gru(self.gru, x, lengths, state[0])
        return hidden, hidden
