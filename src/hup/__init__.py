"""Hierarchical user profiles from click logs: items and categories of every level, recommended and explained."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hup.config import Config
    from hup.data.dataset import Dataset
    from hup.data.prepare import append, prepare
    from hup.data.tables.mapping import Mapping
    from hup.data.validate import validate
    from hup.errors import HupError
    from hup.evaluation.protocol import evaluate
    from hup.experiment.compare import compare
    from hup.experiment.sweep import sweep
    from hup.models.hup.live.stored import stored_events
    from hup.models.hup.model import HUP
    from hup.proposing.propose import propose_mapping
    from hup.recommender.kinds import load
    from hup.recommender.restriction import Restriction
    from hup.sessions.events import Event
    from hup.simulator import SimulatorConfig, simulate

__version__ = "0.1.0"

# Read when asked for: torch, DuckDB and gensim take seconds to import, and few programs need all of them.
_HOMES = {
    "Config": "hup.config",
    "Dataset": "hup.data.dataset",
    "Event": "hup.sessions.events",
    "HUP": "hup.models.hup.model",
    "HupError": "hup.errors",
    "Mapping": "hup.data.tables.mapping",
    "Restriction": "hup.recommender.restriction",
    "SimulatorConfig": "hup.simulator",
    "append": "hup.data.prepare",
    "compare": "hup.experiment",
    "evaluate": "hup.evaluation.protocol",
    "load": "hup.recommender.kinds",
    "prepare": "hup.data.prepare",
    "propose_mapping": "hup.proposing.propose",
    "simulate": "hup.simulator",
    "stored_events": "hup.models.hup.live.stored",
    "sweep": "hup.experiment",
    "validate": "hup.data.validate",
}

__all__ = [
    "HUP",
    "Config",
    "Dataset",
    "Event",
    "HupError",
    "Mapping",
    "Restriction",
    "SimulatorConfig",
    "__version__",
    "append",
    "compare",
    "evaluate",
    "load",
    "prepare",
    "propose_mapping",
    "simulate",
    "stored_events",
    "sweep",
    "validate",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'hup' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
