"""Users: who comes, when, and in which categories and styles their interests lie at that time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.simulator.catalogue import Catalogue
from hup.simulator.config import CHUNK_SESSIONS, SimulatorConfig
from hup.simulator.draws import keyed_uniform, zipf_rank

_START_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_DAY_MS = 86_400_000.0
_INTEREST_SHARES = np.cumsum([0.6, 0.3, 0.1])
_OWN_STYLE = 0.7  # how often a session starts in the style that its user prefers


@dataclass(frozen=True)
class Arrivals:
    """Who opens the sessions of a chunk, when and looking for what.  All arrays have one element a session.

    Attributes
    ----------
    user : (S,) int64
    start_ms : (S,) int64
        Milliseconds since 1970 UTC, ascending.
    leaf, style : (S,) int64
        Finest category and style that the session starts with.
    """

    user: NDArray[np.int64]
    start_ms: NDArray[np.int64]
    leaf: NDArray[np.int64]
    style: NDArray[np.int64]


def draw_arrivals(rng: np.random.Generator, config: SimulatorConfig, shop: Catalogue, first_session: int) -> Arrivals:
    """Draw users, start times and intents of the chunk that begins with session ``first_session``."""
    span = CHUNK_SESSIONS / config.sessions_per_day
    day = (first_session / config.sessions_per_day) + np.sort(rng.random(CHUNK_SESSIONS)) * span
    # The user base grows with the log, so that its beginning does not depend on its length.
    known_users = 1.0 + (first_session + np.arange(CHUNK_SESSIONS)) / config.sessions_per_user
    user = (rng.random(CHUNK_SESSIONS) * known_users).astype(np.int64)
    slot = np.searchsorted(_INTEREST_SHARES, rng.random(CHUNK_SESSIONS), side="right")
    slot = np.minimum(slot, len(_INTEREST_SHARES) - 1)
    leaf = interest_leaf(config, shop, user, slot, day)
    own = rng.random(CHUNK_SESSIONS) < _OWN_STYLE
    fashion = zipf_rank(rng.random(CHUNK_SESSIONS), shop.leaf_styles[leaf], config.popularity_exponent)
    style = np.where(own, preferred_style(config, shop, user, leaf), shop.leaf_first_style[leaf] + fashion)
    return Arrivals(user, (_START_MS + day * _DAY_MS).astype(np.int64), leaf, style)


def interest_leaf(
    config: SimulatorConfig,
    shop: Catalogue,
    user: NDArray[np.int64],
    slot: NDArray[np.int64],
    day: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the category that fills a user's interest ``slot`` on a ``day``; after some days another takes it."""
    phase = keyed_uniform(config.seed, user, slot, 3)
    life = config.drift_days * (0.5 + keyed_uniform(config.seed, user, slot, 4))
    epoch = np.floor(day / life + phase).astype(np.int64)
    chance = keyed_uniform(config.seed, user, slot, epoch, 5)
    leaf = np.searchsorted(np.cumsum(shop.leaf_share), chance, side="right")
    return np.minimum(leaf, len(shop.leaf_share) - 1)


def preferred_style(
    config: SimulatorConfig, shop: Catalogue, user: NDArray[np.int64], leaf: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the style that a user prefers in a category, for life."""
    rank = zipf_rank(keyed_uniform(config.seed, user, leaf, 7), shop.leaf_styles[leaf], config.popularity_exponent)
    return shop.leaf_first_style[leaf] + rank
