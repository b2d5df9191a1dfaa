"""Python's garbage collection, and how long it holds up requests."""

from __future__ import annotations

import gc
from typing import Any


def spare_what_stays() -> None:
    """Collect once, and leave what survives a full collection out of all later ones.

    A full collection walks over every object. Libraries, model, catalogue and the states of users are some hundred
    thousand, which takes a tenth of a second in which nobody is answered. Nearly all that is of no use any more is
    freed without collections. A loop among objects that were spared is freed when this is called again, so it has to be
    called now and then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if _spare not in gc.callbacks:
        gc.callbacks.append(_spare)


def _spare(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
