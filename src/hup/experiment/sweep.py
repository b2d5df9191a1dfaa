"""Sweep one key of HUP: a row for every value, the same seeds for all (§6.3's trade-off is the default)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hup.errors import HupError
from hup.experiment.compare import Watcher, run_grid
from hup.experiment.results import Results
from hup.experiment.rows import Row, all_rows

TRADE_OFF_KEY, TRADE_OFF_COMPLEMENT = "loss.lambda_item", "loss.lambda_category"
TRADE_OFF_VALUES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def sweep(
    dataset: str | Path,
    out: str | Path,
    *,
    key: str = TRADE_OFF_KEY,
    values: Sequence[float] = TRADE_OFF_VALUES,
    complement: str | None = None,
    preset: str = "paper",
    seeds: int = 3,
    overrides: Sequence[str] = (),
    jobs: int | None = None,
    label: str | None = None,
    watcher: Watcher | None = None,
) -> Results:
    """Train and judge HUP with every value of a key.

    Parameters
    ----------
    dataset, out : path
        Dataset folder and run folder; what is finished in the latter is not run again.
    key : str
        ``"section.key"`` of the configuration, with numbers for values.
    values : sequence of float
    complement : str, optional
        Another key, which gets 1 - value. Of the default key it is ``loss.lambda_category``, as in §6.3.
    preset : str
    seeds : int
        Seeds 0 … seeds - 1.
    overrides : sequence of str
        ``"section.key=value"`` for all.
    jobs, label, watcher
        As for :func:`compare`.

    Returns
    -------
    Results
        Its ``swept`` has the key, the values and the row of each.

    Raises
    ------
    HupError
        For a key or value that the configuration does not take.
    """
    if not values:
        raise HupError("No value is given to sweep over.")
    if len(set(values)) < len(values):
        raise HupError(f"A value stands twice in {', '.join(map(_text, values))}.")
    if complement is None and key == TRADE_OFF_KEY:
        complement = TRADE_OFF_COMPLEMENT
    (base,) = (row for row in all_rows([preset]) if row.name == "hup")
    rows = []
    for value in values:
        changes = [*overrides, f"{key}={_text(value)}"]
        if complement is not None:
            changes.append(f"{complement}={_text(round(1 - value, 12))}")
        name = f"{key}={_text(value)}"
        rows.append(Row(name, f"{key} = {_text(value)}", "hup", "hup", tuple(changes), base.preset))
    swept = {"key": key, "complement": complement, "values": list(values), "rows": [row.name for row in rows]}
    return run_grid(dataset, out, rows, seeds=list(range(seeds)), jobs=jobs, label=label, swept=swept, watcher=watcher)


def _text(value: float) -> str:
    """Write a number as TOML has it: whole numbers stay whole."""
    return repr(value)
