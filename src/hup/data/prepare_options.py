"""Options of preparation that can be wrong by themselves."""

from __future__ import annotations

from typing import get_args

from hup.data.engines.duckdb_engine import EngineName
from hup.data.log_source import LogFormat
from hup.data.manifest import SplitMethod
from hup.errors import HupError


def check_options(
    format: str | None, levels: int | None, max_reject_share: float, split: str, seed: int, engine: str
) -> None:
    """Refuse values that no log could make right.

    Raises
    ------
    HupError
        Naming the option, what was found and what was expected.
    """
    if format is not None:
        _one_of("Format", format, get_args(LogFormat))
    _one_of("Split", split, get_args(SplitMethod))
    _one_of("Engine", engine, get_args(EngineName))
    if levels is not None and levels < 1:
        raise HupError(f"Number of category levels is {levels}; expected 1 or more.")
    if not 0 <= max_reject_share <= 1:
        raise HupError(
            f"Largest share of rejects is {max_reject_share:g}; expected a number from 0 to 1, such as 0.05."
        )
    if seed < 0:
        raise HupError(f"Seed is {seed}; expected 0 or more.")


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise HupError(f"{what} {value!r} is not known; expected {' or '.join(choices)}.")
