"""A model that is being served: opened from its folder, with the states that it makes of users, if it makes any."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hup.errors import HupError
from hup.models.hup.live.state import ProfileState
from hup.models.hup.model import HUP
from hup.recommender.base import Recommender
from hup.recommender.kinds import load
from hup.recommender.model_folder import CONFIG
from hup.recommender.recommendations import Recommendations
from hup.recommender.restriction import Restriction
from hup.serving.sessions import SessionRule
from hup.sessions.events import Event

State = ProfileState | bytes | None
#: What a model is asked with: a state, where it makes any, or the events of a session.
Asked = ProfileState | Sequence[Event]


class Served:
    """A model folder that was opened; any kind of model will do.

    Parameters
    ----------
    folder : Path
    idle_gap_minutes : float, optional
        In place of what the model's log was cut by.

    Attributes
    ----------
    model : Recommender
    item_columns : ItemColumns or None
        What the folder says of items; the model itself is left without, as the service gives them along itself.
    rule : SessionRule
    digest : str
        Of the folder: another one is another model.
    state_digest : str
        By which the states of users know their model.
    looks_back : bool
        Whether a state knows of the user's earlier sessions.
    loaded : float
        Seconds since 1970.
    """

    def __init__(self, folder: Path, idle_gap_minutes: float | None = None) -> None:
        before = _digest(folder)
        self.model: Recommender = load(folder)
        self.digest = _digest(folder)
        if self.digest != before:
            raise HupError(f"{folder} was replaced while it was read. Ask again once it is whole.")
        self.item_columns, self.model.item_columns = self.model.item_columns, None
        self.rule = SessionRule.of(self.model.preparation, idle_gap_minutes)
        self.loaded = time.time()
        self._hup = self.model if isinstance(self.model, HUP) else None
        self.state_digest = self.digest if self._hup is None else self._hup.output.live.digest
        self.looks_back = self._hup is not None and self._hup.output.looks_back
        self._warm_up()

    def _warm_up(self) -> None:
        """Answer once, since what is made once takes a while: no user is to wait for it."""
        behavior = self.model.vocabulary.behaviors[0].code
        visits = [Event(item, behavior, float(at)) for at, item in enumerate(self.model.vocabulary.items[:2])]
        for level in self.model.levels:
            self.model.recommend(visits, level)

    @property
    def has_profiles(self) -> bool:
        """Whether the model has profiles, and a state a user."""
        return self._hup is not None

    @property
    def hup(self) -> HUP:
        """The model, where it has profiles.

        Raises
        ------
        HupError
            It has none.
        """
        if self._hup is None:
            raise HupError(
                f"The model is of kind {self.model.kind}, which has no profiles; serve one that `hup train --preset "
                "best` has made."
            )
        return self._hup

    def begin(self, earlier: Sequence[Sequence[Event]]) -> State:
        """Give the state of a user who begins a session, after others, oldest first."""
        return None if self._hup is None else self._hup.state(None, earlier)

    def fold(self, state: State, event: Event) -> State:
        """Fold one event in."""
        if self._hup is None:
            return None
        return self._hup.update(self.opened(state), event)

    def opened(self, state: State) -> ProfileState | None:
        """Give a state that may be bytes as what it is."""
        if isinstance(state, bytes):
            return self.hup.state(state)
        return state

    def recommend(
        self, session: Asked, level: str, k: int, now: float | None, restriction: Restriction
    ) -> Recommendations:
        """Ask the model; see :meth:`hup.recommender.base.Recommender.recommend`."""
        if self._hup is not None:
            return self._hup.recommend(session, level, k, now, restriction)
        assert not isinstance(session, ProfileState), "only HUP has states"
        return self.model.recommend(session, level, k, now, restriction)

    def stored(self, state: State) -> bytes:
        """Give a state as bytes, without the events that the record has anyway; empty where there is none."""
        if state is None or isinstance(state, bytes):
            return state or b""
        open_run = state.open_run
        kept = 0 if open_run is None else len(open_run.events)
        return self.hup.state_bytes(replace(state, log=state.log[len(state.log) - kept :]))


def _digest(folder: Path) -> str:
    """Digest the configuration, which has the digests of all else."""
    try:
        return hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()
    except OSError as error:
        raise HupError(f"{folder} is not a model folder: {CONFIG} does not read ({error.strerror}).") from error
