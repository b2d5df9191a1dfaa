"""The Behavior-LSTM's recurrence on a GPU, in Triton: twin of the kernel in C++.

A program takes some sequences of about equal length through all of their steps, one launch for all. A step's products
go over the recurrent weights in pieces, which stay in the cache beside the program's core from step to step; under
autocast they are made in bfloat16. Tested in Triton's interpreter, and compiled for a card. It has not been measured on
one.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hup.nn.kernels.layer import Sequences

_ROWS = 16  # sequences of a program, the least that a matrix unit takes


@triton.jit
def _gate(x, HARD: tl.constexpr):
    y = tl.minimum(tl.maximum(0.2 * x + 0.5, 0.0), 1.0) if HARD else 1.0 / (1.0 + tl.exp(-x))
    return y


@triton.jit
def _gate_slope(y, HARD: tl.constexpr):
    slope = tl.where((y > 0.0) & (y < 1.0), 0.2, 0.0) if HARD else y * (1.0 - y)
    return slope


@triton.jit
def _tanh(x):
    return 1.0 - 2.0 / (tl.exp(2.0 * tl.minimum(tl.maximum(x, -20.0), 20.0)) + 1.0)


@triton.jit
def _product(x, weight, HALF: tl.constexpr, WIDE: tl.constexpr):
    if HALF and WIDE:  # Triton's interpreter would multiply the bits
        y = tl.dot(x.to(tl.bfloat16).to(tl.float32), weight.to(tl.float32))
    elif HALF:
        y = tl.dot(x.to(tl.bfloat16), weight)
    else:
        y = tl.dot(x, weight, input_precision="ieee")
    return y


@triton.jit
def _forward(
    order, starts, lengths, commit, before, hidden0, cell0, weight, gates, hiddens, cells,
    n_rows, SIZE: tl.constexpr, EXTRA: tl.constexpr, HARD: tl.constexpr, COMMIT: tl.constexpr, HALF: tl.constexpr,
    WIDE: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, PIECE: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = place < n_rows
    row = tl.load(order + place, mask=there, other=0)
    start = tl.load(starts + row, mask=there, other=0)
    length = tl.load(lengths + row, mask=there, other=0)
    unit = tl.arange(0, UNITS)
    inside = unit < SIZE
    state = row[:, None] * SIZE + unit[None, :]
    of_row = there[:, None] & inside[None, :]
    c = tl.load(cell0 + state, mask=of_row, other=0.0)
    piece = tl.arange(0, PIECE)
    last = tl.full((ROWS,), -1, tl.int64)
    width: tl.constexpr = (4 + EXTRA) * SIZE
    for t in range(tl.max(length, 0)):
        runs = t < length
        step = start + t
        now = runs[:, None] & inside[None, :]
        own = gates + step[:, None] * width + unit[None, :]
        i = tl.load(own, mask=now, other=0.0)
        f = tl.load(own + SIZE, mask=now, other=0.0)
        g = tl.load(own + 2 * SIZE, mask=now, other=0.0)
        o = tl.load(own + 3 * SIZE, mask=now, other=0.0)
        for at in range(0, SIZE, PIECE):
            unit_in = at + piece
            some = (unit_in < SIZE)[None, :]
            earlier = runs & (last >= 0)
            h = tl.load(hiddens + last[:, None] * SIZE + unit_in[None, :], mask=earlier[:, None] & some, other=0.0)
            h += tl.load(
                hidden0 + row[:, None] * SIZE + unit_in[None, :], mask=(runs & ~earlier)[:, None] & some, other=0.0
            )
            of_unit = weight + unit[None, :] * SIZE + unit_in[:, None]  # (from, to) of a gate's (to, from)
            both = (unit_in < SIZE)[:, None] & inside[None, :]
            i += _product(h, tl.load(of_unit, mask=both, other=0.0), HALF, WIDE)
            f += _product(h, tl.load(of_unit + SIZE * SIZE, mask=both, other=0.0), HALF, WIDE)
            g += _product(h, tl.load(of_unit + 2 * SIZE * SIZE, mask=both, other=0.0), HALF, WIDE)
            o += _product(h, tl.load(of_unit + 3 * SIZE * SIZE, mask=both, other=0.0), HALF, WIDE)
        i, f, g, o = _gate(i, HARD), _gate(f, HARD), _tanh(g), _gate(o, HARD)
        update = i * g
        for extra in tl.static_range(4, 4 + EXTRA):
            scale = _gate(tl.load(own + extra * SIZE, mask=now, other=0.0), HARD)
            tl.store(own + extra * SIZE, scale, mask=now)
            update = update * scale
        new_c = f * c + update
        new_h = o * _tanh(new_c)
        tl.store(own, i, mask=now)
        tl.store(own + SIZE, f, mask=now)
        tl.store(own + 2 * SIZE, g, mask=now)
        tl.store(own + 3 * SIZE, o, mask=now)
        out = step[:, None] * SIZE + unit[None, :]
        tl.store(cells + out, new_c, mask=now)
        tl.store(hiddens + out, new_h, mask=now)
        tl.store(before + step, last, mask=runs)
        kept = runs & (tl.load(commit + step, mask=runs, other=0) != 0) if COMMIT else runs
        tl.debug_barrier()  # all of the program see what it has written
        c = tl.where(kept[:, None], new_c, c)
        last = tl.where(kept, step, last)


@triton.jit
def _backward(
    order, starts, lengths, commit, before, cell0, weight, active, cells, d_hiddens, d_cells, d_gates, d_hidden, d_cell,
    n_rows, SIZE: tl.constexpr, EXTRA: tl.constexpr, HARD: tl.constexpr, COMMIT: tl.constexpr, HALF: tl.constexpr,
    WIDE: tl.constexpr, OF_HIDDEN: tl.constexpr, OF_CELL: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr,
    PIECE: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = place < n_rows
    row = tl.load(order + place, mask=there, other=0)
    start = tl.load(starts + row, mask=there, other=0)
    length = tl.load(lengths + row, mask=there, other=0)
    unit = tl.arange(0, UNITS)
    inside = unit < SIZE
    state = row[:, None] * SIZE + unit[None, :]
    of_row = there[:, None] & inside[None, :]
    carried_h = tl.zeros((ROWS, UNITS), tl.float32)
    carried_c = tl.zeros((ROWS, UNITS), tl.float32)
    piece = tl.arange(0, PIECE)
    width: tl.constexpr = (4 + EXTRA) * SIZE
    longest = tl.max(length, 0)
    for back in range(longest):
        t = longest - 1 - back
        runs = t < length
        step = start + t
        now = runs[:, None] & inside[None, :]
        own = step[:, None] * width + unit[None, :]
        out = step[:, None] * SIZE + unit[None, :]
        kept = (tl.load(commit + step, mask=runs, other=0) != 0)[:, None] if COMMIT else runs[:, None]
        past_h = tl.where(kept, 0.0, carried_h)
        past_c = tl.where(kept, 0.0, carried_c)
        d_h = carried_h - past_h
        d_c = carried_c - past_c
        if OF_HIDDEN:
            d_h += tl.load(d_hiddens + out, mask=now, other=0.0)
        if OF_CELL:
            d_c += tl.load(d_cells + out, mask=now, other=0.0)
        i = tl.load(active + own, mask=now, other=0.0)
        f = tl.load(active + own + SIZE, mask=now, other=0.0)
        g = tl.load(active + own + 2 * SIZE, mask=now, other=0.0)
        o = tl.load(active + own + 3 * SIZE, mask=now, other=0.0)
        bent = _tanh(tl.load(cells + out, mask=now, other=0.0))
        d_c += d_h * o * (1.0 - bent * bent)
        came = tl.load(before + step, mask=runs, other=-1)
        first = tl.load(cell0 + state, mask=of_row & (came < 0)[:, None], other=0.0)
        c_before = first + tl.load(
            cells + came[:, None] * SIZE + unit[None, :], mask=now & (came >= 0)[:, None], other=0.0
        )
        scale = tl.full((ROWS, UNITS), 1.0, tl.float32)
        for extra in tl.static_range(4, 4 + EXTRA):
            mine = tl.load(active + own + extra * SIZE, mask=now, other=0.0)
            into = d_c * i * g * _gate_slope(mine, HARD)
            for other in tl.static_range(4, 4 + EXTRA):
                if other != extra:
                    into = into * tl.load(active + own + other * SIZE, mask=now, other=0.0)
            tl.store(d_gates + own + extra * SIZE, into, mask=now)
            scale = scale * mine
        tl.store(d_gates + own, d_c * g * scale * _gate_slope(i, HARD), mask=now)
        tl.store(d_gates + own + SIZE, d_c * c_before * _gate_slope(f, HARD), mask=now)
        tl.store(d_gates + own + 2 * SIZE, d_c * i * scale * (1.0 - g * g), mask=now)
        tl.store(d_gates + own + 3 * SIZE, d_h * bent * _gate_slope(o, HARD), mask=now)
        tl.debug_barrier()  # all of the program see what it has written
        into_h = past_h
        for at in range(0, 4 * SIZE, PIECE):
            unit_from = at + piece
            some = unit_from < 4 * SIZE
            d = tl.load(
                d_gates + step[:, None] * width + unit_from[None, :], mask=runs[:, None] & some[None, :], other=0.0
            )
            of_unit = weight + unit_from[:, None] * SIZE + unit[None, :]
            into_h += _product(d, tl.load(of_unit, mask=some[:, None] & inside[None, :], other=0.0), HALF, WIDE)
        carried_h = tl.where(runs[:, None], into_h, carried_h)
        carried_c = tl.where(runs[:, None], past_c + d_c * f, carried_c)
    tl.store(d_hidden + state, carried_h, mask=of_row)
    tl.store(d_cell + state, carried_c, mask=of_row)


def forward(
    sequences: Sequences, gates: Tensor, hidden: Tensor, cell: Tensor, weight_hidden: Tensor, *, hard: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Activate the gates in place; see :class:`~hup.nn.kernels.layer.Recurrence`."""
    size = weight_hidden.shape[1]
    hiddens, cells = gates.new_empty(len(gates), size), gates.new_empty(len(gates), size)
    before = torch.empty(len(gates), dtype=torch.int64, device=gates.device)
    given = sequences.commit if sequences.commit is not None else before  # not looked at
    weight = _weights(weight_hidden)
    _forward[_grid(sequences)](
        *(_longest_first(sequences), sequences.starts, sequences.lengths, given, before, hidden, cell, weight),
        *(gates, hiddens, cells, len(sequences.lengths)),
        **_layer(sequences, gates, weight, hard),
    )
    return hiddens, cells, before


def backward(
    sequences: Sequences,
    active: Tensor,
    cell: Tensor,
    cells: Tensor,
    before: Tensor,
    weight_hidden: Tensor,
    d_hiddens: Tensor | None,
    d_cells: Tensor | None,
    *,
    hard: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Give gradients of the gates and of the first state; see :class:`~hup.nn.kernels.layer.Recurrence`."""
    d_gates, d_hidden, d_cell = torch.empty_like(active), torch.zeros_like(cell), torch.zeros_like(cell)
    given = sequences.commit if sequences.commit is not None else before  # not looked at
    weight = _weights(weight_hidden)
    _backward[_grid(sequences)](
        *(_longest_first(sequences), sequences.starts, sequences.lengths, given, before, cell, weight, active, cells),
        *(cells if one is None else one for one in (d_hiddens, d_cells)),
        *(d_gates, d_hidden, d_cell, len(sequences.lengths)),
        OF_HIDDEN=d_hiddens is not None,
        OF_CELL=d_cells is not None,
        **_layer(sequences, active, weight, hard),
    )
    return d_gates, d_hidden, d_cell


def _grid(sequences: Sequences) -> tuple[int]:
    return (triton.cdiv(len(sequences.lengths), _ROWS),)


def _longest_first(sequences: Sequences) -> Tensor:
    """Sequences of a program end at about the same step."""
    return torch.argsort(sequences.lengths, descending=True, stable=True)


def _weights(weight_hidden: Tensor) -> Tensor:
    """Give the weights in the precision that products are made in."""
    half = torch.is_autocast_enabled(weight_hidden.device.type)
    return weight_hidden.to(torch.bfloat16 if half else torch.float32)


def _layer(sequences: Sequences, gates: Tensor, weight: Tensor, hard: bool) -> dict[str, int | bool]:
    size, half = weight.shape[1], weight.dtype == torch.bfloat16
    return {
        "SIZE": size,
        "EXTRA": gates.shape[1] // size - 4,
        "HARD": hard,
        "COMMIT": sequences.commit is not None,
        "HALF": half,
        "WIDE": bool(triton.knobs.runtime.interpret),
        "ROWS": _ROWS,
        "PIECE": 32 if half else 16,  # units of a product that are looked at together: what fits on the chip
        "UNITS": max(16, triton.next_power_of_2(size)),
    }
