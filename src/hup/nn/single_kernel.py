"""The pyramid's steps for one user by a compiled kernel: the fast twin of :meth:`hup.nn.single.SinglePyramid.steps`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hup.native import load
from hup.nn.behavior_lstm import BehaviorLSTM
from hup.nn.pyramid import Pyramid
from hup.nn.pyramid_level import PyramidLevel
from hup.nn.tables import Inputs, TreeTable, VectorTable
from hup.sessions.levels import ITEM, Level, ranked_levels

if TYPE_CHECKING:
    from hup.nn.single import Ended, Run

Floats = NDArray[np.float32]
_Pointer, _Number = ctypes.c_void_p, ctypes.c_int64


class Tree(ctypes.Structure):
    """As ``Tree`` of ``native/trees.hpp``; what it points at is kept by the one who has the table."""

    _fields_ = (
        ("own", _Pointer),
        ("rows", _Number),
        ("size", _Number),
        ("n_families", _Number),
        ("families", ctypes.POINTER(_Pointer)),
        ("family_rows", ctypes.POINTER(_Number)),
    )

    @classmethod
    def of(cls, table: TreeTable) -> Self:
        """Point at a table."""
        families = list(table.families)
        return cls(
            address(table.weight),
            *table.weight.shape,
            len(families),
            (_Pointer * len(families))(*map(address, families)),
            (_Number * len(families))(*map(len, families)),
        )


class _Rows(ctypes.Structure):
    _fields_ = (("values", _Pointer), ("rows", _Number), ("size", _Number))


class _Reads(ctypes.Structure):
    _fields_ = (
        ("tables", ctypes.POINTER(Tree)),
        ("n_tables", _Number),
        ("behavior", _Rows),
        ("interval", _Rows),
        ("dwell", _Rows),
        ("micro_signals", _Number),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _Number) for name in ("hidden", "input", "interval", "behavior", "hard_gates")),
        *((name, _Pointer) for name in ("weight_input", "weight_hidden", "weight_interval", "weight_behavior", "bias")),
    )


class _Level(ctypes.Structure):
    _fields_ = (
        ("reads", _Reads),
        ("layer", _Layer),
        *((name, _Number) for name in ("table", "is_micro", "layout", "lender")),
        *((name, _Pointer) for name in ("head", "head_bias")),
        *((name, _Number) for name in ("profile", "head_tanh")),
    )


class _Run(ctypes.Structure):
    _fields_ = (
        ("item", _Number),
        ("path", _Pointer),
        ("n_events", _Number),
        *((name, _Pointer) for name in ("behavior", "interval", "dwell")),
    )


class PyramidKernel:
    """Steps of all levels in one call; see :meth:`of`."""

    def __init__(self, kernel: ctypes.CDLL, pyramid: Pyramid) -> None:
        self._pyramid, self._pointed_at = pyramid, [one.detach() for one in pyramid.parameters()]
        self._size = pyramid.hidden_size
        self._is_micro = [layout == 0 for layout in pyramid.layout]
        self._lender = pyramid.lender
        n_levels = len(pyramid.level_names)
        self._levels = (_Level * n_levels)(*(self._level(number) for number in range(n_levels)))
        self._profiles = [level.profile for level in self._levels]  # their sizes
        self._call = ctypes.PyDLL(None, handle=kernel._handle).hup_pyramid_steps  # too short to let others in
        self._call.argtypes, self._call.restype = (_Pointer, _Number, *(_Pointer,) * 8), None

    @classmethod
    def of(cls, pyramid: Pyramid) -> Self | None:
        """Make it for Behavior-LSTMs over sums of vectors, where there is a compiler; None otherwise."""
        levels = [pyramid.levels[name] for name in pyramid.level_names]
        layers = [level.rnn for level in levels if isinstance(level, PyramidLevel) and level.rnn is not None]
        tables = [
            table for level in ranked_levels(len(pyramid.category_targets)) for table in pyramid.input_tables(level)
        ]
        fits = all(isinstance(one, BehaviorLSTM) for one in layers) and all(
            isinstance(one, TreeTable) for one in tables
        )
        kernel = load("single_pyramid") if fits else None
        return None if kernel is None else cls(kernel, pyramid)

    def _level(self, number: int) -> _Level:
        pyramid, name = self._pyramid, self._pyramid.level_names[number]
        level, inputs, lender = pyramid.levels[name], pyramid.inputs[name], pyramid.lender[number]
        assert isinstance(level, PyramidLevel)
        assert isinstance(inputs, Inputs)
        layer = _Layer(hidden=self._size) if level.rnn is None else _layer(level.rnn)
        head = level.head
        return _Level(
            *(_reads(inputs), layer, Level(name).k, self._is_micro[number], pyramid.layout[number], lender),
            *(address(head.weight), address(head.bias), head.out_features, level.tanh),
        )

    def steps(self, run: Run, before: Sequence[Ended], ended: Sequence[bool] | None) -> list[tuple[Floats, Floats]]:
        """Run all levels over an item run; parameters as for :meth:`~hup.nn.single.SinglePyramid.steps`.

        Returns
        -------
        list of (ndarray, ndarray)
            Hidden and cell states of every level after each new step, ``(S, H)``; of one that does not end they mean
            nothing.
        """
        made, rows = self._run(run, before, ended, None)
        ends = [*rows[1:], made.shape[1]]
        return [(made[0, rows[lent] : ends[lent]], made[1, rows[lent] : ends[lent]]) for lent in self._lender]

    def profiles(self, run: Run, before: Sequence[Ended]) -> list[Floats]:
        """Give the profile ``(d,)`` of every level after an open run, where no level attends."""
        made = np.empty(sum(self._profiles), dtype=np.float32)
        self._run(run, before, None, made.ctypes.data)
        ends = accumulate(self._profiles)
        return [made[end - size : end] for end, size in zip(ends, self._profiles, strict=True)]

    def _run(
        self, run: Run, before: Sequence[Ended], ended: Sequence[bool] | None, profiles: int | None
    ) -> tuple[Floats, list[int]]:
        """Take the steps: hidden and cell states ``(2, S, H)``, and the row at which those of every level begin."""
        n_events, rows, total = len(run.behavior), [], 0
        for is_micro in self._is_micro:
            rows.append(total)
            total += n_events if is_micro else 1
        made = np.empty((2, total, self._size), dtype=np.float32)
        numbers = np.array([*run.path, *run.dwell, *rows, *(ended or ())], dtype=np.int64)
        at = numbers.ctypes.data
        dwell = at + 8 * len(run.path)
        of_rows = dwell + 8 * len(run.dwell)
        of_run = _Run(run.item, at, n_events, run.behavior.ctypes.data, run.interval.ctypes.data, dwell)
        last = [one.hidden[-1].ctypes.data if len(one.signal) else None for one in before]
        last += [one.cell[-1].ctypes.data if len(one.signal) else None for one in before]
        states = (_Pointer * len(last))(*last)
        to_hidden = made.ctypes.data
        self._call(
            ctypes.addressof(self._levels),
            len(rows),
            ctypes.addressof(of_run),
            None if ended is None else of_rows + 8 * len(rows),
            ctypes.addressof(states),
            ctypes.addressof(states) + ctypes.sizeof(_Pointer) * len(rows),
            of_rows,
            to_hidden,
            to_hidden + made.strides[0],
            profiles,
        )
        return made, rows


def address(tensor: Tensor | None) -> int | None:
    """Give the place of a tensor's numbers in memory; None where there is no tensor."""
    if tensor is None:
        return None
    assert tensor.is_contiguous(), "a kernel reads rows that lie one after the other"
    return tensor.data_ptr()


def _reads(inputs: Inputs) -> _Reads:
    levels = (ITEM, *ranked_levels(len(inputs.categories))[:0:-1])
    trees = []
    for level in levels:
        table = inputs.table(level)
        assert isinstance(table, TreeTable)
        trees.append(Tree.of(table))
    assert isinstance(inputs.behavior, VectorTable)
    rows = (_rows(table.weight) for table in (inputs.behavior, inputs.interval, inputs.dwell))
    return _Reads((Tree * len(trees))(*trees), len(trees), *rows, inputs.micro_signals)


def _rows(weight: Tensor) -> _Rows:
    return _Rows(address(weight), *weight.shape)


def _layer(layer: object) -> _Layer:
    assert isinstance(layer, BehaviorLSTM)
    weights = (layer.weight_input, layer.weight_hidden, layer.weight_interval, layer.weight_behavior, layer.bias)
    sizes = (layer.hidden_size, layer.input_size, layer.interval_size, layer.behavior_size, layer.hard_gates)
    return _Layer(*sizes, *map(address, weights))
