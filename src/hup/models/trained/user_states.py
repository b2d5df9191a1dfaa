"""States of the users of a log, worked out from their training sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hup.data.dataset import Dataset
from hup.sessions.batches import Histories, histories_and_targets

if TYPE_CHECKING:
    from hup.models.trained.s_hrnn import SHRNNLevel

SESSIONS_PER_BATCH = 512


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
        self.final = torch.zeros(users, 2, self.size)

    def before(self, histories: Histories, cell: nn.GRUCell) -> Tensor:
        """State of each history's user before it, ``(B, H)``: the user GRU's step after the session before.

        A training session has the states of the sessions before it, any other those of all training sessions.
        """
        if histories.user is None or not len(self.final):
            return self.final.new_zeros(len(histories), self.size)
        known = (histories.user >= 0) & (histories.user < len(self.final))
        pair = torch.where(known.view(-1, 1, 1), self.final[torch.where(known, histories.user, 0)], 0)
        if histories.index is not None and len(self._of_session):
            inside = histories.index < len(self._of_session)
            own = self._of_session[torch.where(inside, histories.index, 0)]
            pair = torch.where(inside.view(-1, 1, 1), own, pair)
        earlier, last = pair.unbind(1)
        has_one = last.abs().sum(dim=1, keepdim=True) > 0
        stepped: Tensor = cell(last, earlier)
        return torch.where(has_one, stepped, torch.zeros_like(stepped))

    def refresh(
        self, dataset: Dataset, sessions: NDArray[np.int64], level: str, network: SHRNNLevel, most: int
    ) -> None:
        """Go through the training sessions of all users, the first of everyone, then the second, and so on.

        Parameters
        ----------
        dataset : Dataset
        sessions : ndarray
            Training sessions, oldest first.
        level : str
        network : SHRNNLevel
        most : int
            Sessions of a user that are looked at, the newest.
        """
        from hup.models.trained.next_code import steps_of

        users = dataset.user_codes[sessions]
        named = users >= 0
        if not named.any():
            return
        self._of_session = torch.zeros(int(sessions[-1]) + 1, 2, self.size)
        self.final.zero_()
        order = np.flatnonzero(named)[np.argsort(users[named], kind="stable")]
        starts = np.searchsorted(users[order], users[order])
        turn = np.arange(len(order)) - starts
        count = np.bincount(users[named])[users[order]]
        turn = turn - np.maximum(count - most, 0)  # below 0: too old to be looked at
        was_training = network.training
        network.eval()
        with torch.no_grad():
            for number in range(int(turn.max()) + 1):
                at = sessions[order[turn == number]]
                for start in range(0, len(at), SESSIONS_PER_BATCH):
                    chunk = at[start : start + SESSIONS_PER_BATCH]
                    codes = torch.from_numpy(dataset.user_codes[chunk])
                    self._of_session[torch.from_numpy(chunk)] = self.final[codes]
                    histories, _ = histories_and_targets(dataset, chunk)
                    steps = steps_of(histories, level, network.tables.n_known)
                    _, user, last = network.walk(steps, self.before(histories, network.user))
                    self.final[codes] = torch.stack([user, last], dim=1)
        network.train(was_training)
