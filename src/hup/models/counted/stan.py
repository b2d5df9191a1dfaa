"""STAN: session-kNN with three decays (Garg, Gupta, Malhotra, Vig and Shroff 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from hup.config import Section
from hup.models.counted.session_index import last_visits, most_similar, summed
from hup.models.counted.vsknn import SessionKNN, SessionKNNConfig
from hup.sessions.batches import Histories


class STANConfig(SessionKNNConfig):
    """Options of STAN; a decay of 0 is none."""

    history_decay: NonNegativeFloat = Field(
        2.0, description="λ1: runs after which a code of the session weighs 1/e, in similarity"
    )
    session_decay: NonNegativeFloat = Field(
        0.0, description="λ2: share of the training sessions after which a neighbour weighs 1/e, newest first"
    )
    item_decay: NonNegativeFloat = Field(
        1.0, description="λ3: runs from the shared code after which a neighbour's item weighs 1/e"
    )
    shared: Literal["history", "session"] = Field(
        "history", description="from which shared code: the latest one of the history, or of the neighbour"
    )


class STAN(SessionKNN):
    """What the sessions most like this one hold near the code they share with it.

    Similarity is the cosine between the history, its codes weighted by ``exp(-back / λ1)``, and the session's set of
    codes, times ``exp(-age / λ2)``. An item of a neighbour counts by ``exp(-distance / λ3)`` from a shared code, which
    is the latest one of the history or, as in the code of ``session-rec``, of the neighbour. (Garg et al., "Sequence
    and time aware neighborhood for session-based recommendations", SIGIR 2019.)

    Age is the share of the training sessions that came after the neighbour: a clock that logs without times have, too,
    and that gaps in a log do not stop. The time between training and the history is left out, as it would weigh all
    neighbours alike.
    """

    kind: ClassVar[str] = "stan"
    options: ClassVar[type[Section]] = STANConfig
    config: STANConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("item_decay=0.5",),
        ("history_decay=0.5",),
        ("neighbors=500", "newest=5000"),
        ("history_decay=0.0",),
        ("neighbors=50",),
        ("session_decay=1.0",),
        ("shared='session'",),
        ("history_decay=1.0", "item_decay=0.5"),
        ("item_decay=0.0",),
    )

    def found(self, histories: Histories, level: str) -> sp.csr_array:
        """Add up the neighbours' codes."""
        index, config = self._fitted(self._index)[level], self.config
        visits = last_visits(histories, level, index.n_known)
        neighbors = self._candidates(index, visits, _fading(visits.back, config.history_decay))
        sizes = np.diff(index.offsets)[neighbors.session] * visits.length[neighbors.row]
        age = (index.n_sessions - 1 - neighbors.session) / max(index.n_sessions, 1)
        similarity = neighbors.similarity / np.sqrt(np.maximum(sizes, 1)) * _fading(age, config.session_decay)
        neighbors, similarity = most_similar(neighbors, similarity, config.neighbors)
        pair, code, place = index.entries(neighbors)
        shared = neighbors.place if config.shared == "history" else neighbors.last_place
        value = similarity[pair] * _fading(np.abs(place - shared[pair]), config.item_decay)
        return summed(neighbors.row[pair], code, value, (len(histories), index.n_known))


def _fading(distance: NDArray[np.int64] | NDArray[np.float64], decay: float) -> NDArray[np.float64]:
    """Weigh by ``exp(-distance / decay)``; a decay of 0 is none."""
    if not decay:
        return np.ones(len(distance))
    weight: NDArray[np.float64] = np.exp(-distance / decay)
    return weight
