"""A simulated shop: a category tree, users with drifting interests, and their sessions of micro-behaviors.

What it models, and how near it comes to real sessions, is written in ``docs/simulator.md``.
"""

from hup.simulator.catalogue import Catalogue, build_catalogue
from hup.simulator.chunks import SimulatedChunk, simulate_chunks
from hup.simulator.config import SimulatorConfig
from hup.simulator.writers import Simulated, simulate

__all__ = [
    "Catalogue",
    "Simulated",
    "SimulatedChunk",
    "SimulatorConfig",
    "build_catalogue",
    "simulate",
    "simulate_chunks",
]
