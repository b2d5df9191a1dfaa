"""S-HRNN: a GRU over a session's items and one over a user's sessions (Quadrana et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from hup.config import Section
from hup.data.dataset import Dataset
from hup.errors import HupError
from hup.models.trained.next_code import (
    CodeTables,
    LevelNetwork,
    NextCodeConfig,
    NextCodeNetwork,
    NextCodeRecommender,
    Steps,
    steps_of,
)
from hup.nn.devices import placed
from hup.nn.losses import top1
from hup.nn.ragged import run_gru
from hup.nn.taught import Taught
from hup.sessions.batches import Histories, histories_and_targets

Mode = Literal["init", "all"]
SESSIONS_PER_BATCH = 512


class SHRNNNetwork(NextCodeNetwork):
    """The network of S-HRNN."""

    loss: Literal["top1", "cross_entropy"] = Field(
        "top1", description="top1 = above the targets of the batch's other sessions; cross_entropy = above all codes"
    )
    mode: Mode = Field("init", description="the user's state begins a session (init), or is read at every step, too")
    idle_gap_seconds: PositiveFloat = Field(
        1800.0, description="a longer pause ends a session within a history; JD lines hold several, and name no user"
    )
    user_sessions: PositiveInt = Field(20, description="most earlier sessions of a user that are looked at")


class SHRNNConfig(NextCodeConfig):
    """Options of S-HRNN."""

    network: SHRNNNetwork = SHRNNNetwork()


class UserStates(nn.Module):
    """What is remembered of every user.

    Attributes
    ----------
    final : Tensor
        ``(users, 2, H)``: the user's state before the last training session, and that session's last hidden state;
        zeros for a user without one. Part of the model's weights file.
    """

    final: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("final", torch.zeros(0, 2, size))
        self._of_session = torch.zeros(0, 2, size)

    def reserve(self, users: int) -> None:
        """Make place for users."""
        self.final = self.final.new_zeros(users, 2, self.size)

    def before(self, histories: Histories, cell: nn.GRUCell) -> Tensor:
        """State of each history's user before it, ``(B, H)``: the user GRU's step after the session before.

        A training session has the states of the sessions before it, any other those of all training sessions.
        """
        if histories.user is None or not len(self.final):
            return self.final.new_zeros(len(histories), self.size)
        user = histories.user.to(self.final.device)
        known = (user >= 0) & (user < len(self.final))
        pair = torch.where(known.view(-1, 1, 1), self.final[torch.where(known, user, 0)], 0)
        if histories.index is not None and len(self._of_session):
            index, states = histories.index.to(self.final.device), self._of_session.to(self.final.device)
            inside = index < len(states)
            own = states[torch.where(inside, index, 0)]
            pair = torch.where(inside.view(-1, 1, 1), own, pair)
        earlier, last = pair.unbind(1)
        has_one = last.abs().sum(dim=1, keepdim=True) > 0
        stepped: Tensor = cell(last, earlier)
        return torch.where(has_one, stepped, torch.zeros_like(stepped))

    def refresh(
        self, dataset: Dataset, sessions: NDArray[np.int64], most: int, after: Callable[[Histories], Tensor]
    ) -> None:
        """Go through the training sessions of all users, the first of everyone, then the second, and so on.

        Parameters
        ----------
        dataset : Dataset
        sessions : ndarray
            Training sessions, oldest first.
        most : int
            Sessions of a user that are looked at, the newest.
        after : callable
            Gives what histories leave to their users, ``(B, 2, H)``, as in :attr:`final`.
        """
        users = dataset.user_codes[sessions]
        named = users >= 0
        if not named.any():
            return
        self._of_session = self.final.new_zeros(int(sessions[-1]) + 1, 2, self.size)
        self.final.zero_()
        order = np.flatnonzero(named)[np.argsort(users[named], kind="stable")]
        starts = np.searchsorted(users[order], users[order])
        turn = np.arange(len(order)) - starts
        count = np.bincount(users[named])[users[order]]
        turn = turn - np.maximum(count - most, 0)  # below 0: too old to be looked at
        for number in range(int(turn.max()) + 1):
            at = sessions[order[turn == number]]
            for start in range(0, len(at), SESSIONS_PER_BATCH):
                chunk = at[start : start + SESSIONS_PER_BATCH]
                codes = placed(dataset.user_codes[chunk], self.final)
                self._of_session[placed(chunk, self.final)] = self.final[codes]
                self.final[codes] = after(histories_and_targets(dataset, chunk)[0])


class SHRNNLevel(LevelNetwork):
    """The two GRUs of one level."""

    def __init__(self, n_known: int, network: SHRNNNetwork) -> None:
        super().__init__()
        size = network.hidden
        self.mode, self.gap = network.mode, network.idle_gap_seconds
        self.tables = CodeTables(n_known, size, tied=network.tied)
        self.session = nn.GRU(size * (2 if network.mode == "all" else 1), size)
        self.user = nn.GRUCell(size, size)
        self.start = nn.Linear(size, size)
        self.dropout = nn.Dropout(network.dropout)
        self.states = UserStates(size)

    def hidden(self, steps: Steps, histories: Histories) -> Tensor:
        """Hidden state of the session GRU after every step, ``(S, hidden)``."""
        return self.walk(steps, self.states.before(histories, self.user))[0]

    def walk(self, steps: Steps, user: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Go through the sub-sessions of every history, in rounds: the first of all, then the second, and so on.

        Parameters
        ----------
        steps : Steps
        user : Tensor
            ``(B, hidden)``, the users' states before the histories.

        Returns
        -------
        hidden : Tensor
            ``(S, hidden)``.
        user : Tensor
            ``(B, hidden)``, the users' states before their last sub-session.
        last : Tensor
            ``(B, hidden)``, the hidden state at each history's end.
        """
        x = self.dropout(self.tables.inputs(steps.codes))
        round_of = self._rounds(steps)
        history = steps.runs.history()
        parts: list[Tensor] = []
        places: list[Tensor] = []
        ends = history[:0]
        for number in range(int(round_of.max()) + 1):
            at = (round_of == number).nonzero().squeeze(1)
            rows, lengths = torch.unique_consecutive(history[at], return_counts=True)
            if number:
                user = user.index_copy(0, rows, self.user(parts[-1].index_select(0, ends), user.index_select(0, rows)))
            of_user = user.index_select(0, rows)
            inputs = x.index_select(0, at)
            if self.mode == "all":
                inputs = torch.cat([inputs, torch.repeat_interleave(of_user, lengths, dim=0)], dim=1)
            hidden = run_gru(self.session, inputs, lengths, torch.tanh(self.start(of_user)))
            parts.append(hidden)
            places.append(at)
            # Ends of the sub-sessions that another one of the same history follows.
            going_on = torch.isin(rows, history[round_of == number + 1])
            ends = (lengths.cumsum(0) - 1)[going_on]
        flat = torch.cat(parts).index_select(0, torch.argsort(torch.cat(places)))
        return flat, user, flat.index_select(0, steps.ends)

    def refresh_states(self, dataset: Dataset, sessions: NDArray[np.int64], level: str, most: int) -> None:
        """Work the users' states out anew from these training sessions; of a user the newest ``most`` ones."""

        def after(histories: Histories) -> Tensor:
            steps = steps_of(histories, level, self.tables.n_known).to(self.states.final.device)
            _, user, last = self.walk(steps, self.states.before(histories, self.user))
            return torch.stack([user, last], dim=1)

        was_training = self.training
        self.eval()
        with torch.no_grad():
            self.states.refresh(dataset, sessions, most, after)
        self.train(was_training)

    def _rounds(self, steps: Steps) -> Tensor:
        """Count the sub-sessions of its history that lie before each step, ``(S,)``."""
        ends_one = (steps.runs.interval > self.gap).long()  # NaN, not known yet, ends nothing
        before = ends_one.cumsum(0) - ends_one
        first = steps.runs.offsets[:-1]
        return before - before[first].index_select(0, steps.runs.history())


class SHRNN(NextCodeRecommender):
    """Session and user GRUs of every level.

    A history is cut into sub-sessions at long pauses, after each of which the user GRU moves on. Where the log names
    users, their state also comes from their earlier training sessions; gradients go through the last of these, as
    with the user-parallel batches of the original.
    """

    kind: ClassVar[str] = "s-hrnn"
    options: ClassVar[type[Section]] = SHRNNConfig
    config: SHRNNConfig
    tuning: ClassVar[tuple[tuple[str, ...], ...]] = (
        (),
        ("network.loss='cross_entropy'",),
        ("training.learning_rate=0.003",),
        ("network.dropout=0.3",),
        ("network.idle_gap_seconds=300.0",),
        ("network.hidden=200",),
    )

    def __init__(self, config: Section | None = None) -> None:
        super().__init__(config)
        self._dataset: Dataset | None = None

    def level_network(self, n_known: int) -> SHRNNLevel:
        """Make the GRUs of a level."""
        return SHRNNLevel(n_known, self.config.network)

    def check_divisible(self) -> None:
        """Check that no target is compared with those of the batch's other sessions."""
        if self.config.network.loss == "top1":
            raise HupError(
                "s-hrnn with network.loss=top1 compares the sessions of a batch with each other, so it does not train "
                "on several processes. Train it on one, or with --set network.loss=cross_entropy."
            )

    def loss(self, level: str, taught: Taught) -> Tensor:
        """TOP1, or cross-entropy."""
        if self.config.network.loss == "cross_entropy" or not len(taught):
            return super().loss(level, taught)
        return top1(taught.positive(), taught.of_other_histories())

    def initialise(self, dataset: Dataset, vectors: Mapping[str, Tensor] | None = None) -> Self:
        """Make the networks, with a place for the state of every user of training."""
        self._dataset = dataset
        super().initialise(dataset, vectors)
        train = dataset.sessions("train")
        users = int(dataset.user_codes[train.start : train.stop].max(initial=-1)) + 1
        for level in self.levels:
            self._level(level).states.reserve(users)
        return self

    def begin_epoch(self) -> None:
        """Work the users' states out anew, before each of their training sessions."""
        if self._dataset is None:
            return
        sessions = np.asarray(self._dataset.sessions("train"), dtype=np.int64)
        for level in self.levels:
            network: SHRNNLevel = self._level(level)
            network.refresh_states(self._dataset, sessions, level, self.config.network.user_sessions)

    def end_training(self) -> None:
        """Work out the users' states at the end of training."""
        self.begin_epoch()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the networks, with places for as many users as there are states, and give them these weights."""
        network = self.build()
        for level in self.levels:
            states = tensors.get(f"{level}.states.final")
            if states is not None:
                of_level = network[level]
                assert isinstance(of_level, SHRNNLevel)
                of_level.states.reserve(len(states))
        self._restore_into(network, tensors)
