"""GRUs over ragged sequences against PyTorch's cell, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hup.nn.ragged import run_gru


@pytest.mark.parametrize("lengths", [[3], [1, 4, 2], [2, 2], [1, 1, 1, 5], [0, 2, 0, 3], [0]])
@pytest.mark.parametrize("with_state", [False, True])
def test_each_sequence_is_that_of_the_cell(lengths, with_state):
    torch.manual_seed(0)
    gru, cell = nn.GRU(3, 4), nn.GRUCell(3, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data.copy_(getattr(gru, f"{name}_l0").data)
    x = torch.randn(sum(lengths), 3)
    state = torch.randn(len(lengths), 4) if with_state else None
    found = run_gru(gru, x, torch.tensor(lengths), state)
    place = 0
    for row, length in enumerate(lengths):
        h = torch.zeros(1, 4) if state is None else state[row : row + 1]
        for _ in range(length):
            h = cell(x[place : place + 1], h)
            torch.testing.assert_close(found[place : place + 1], h)
            place += 1
