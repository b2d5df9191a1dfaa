"""What users have been on in any of their sessions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hup.data.dataset import Dataset
from hup.sessions.batches import Histories
from hup.sessions.levels import Level, ragged_arange


class EverSeen:
    """Looks up what the users of a dataset have been on.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        user = dataset.user_codes
        self._by_user = np.argsort(user, kind="stable")
        self._first = np.searchsorted(user[self._by_user], np.arange(int(user.max(initial=-1)) + 2))

    def pairs(self, histories: Histories, level: str) -> tuple[Tensor, Tensor]:
        """List rows of a batch and codes of a level that the row's user has been on, ``(N,)`` each.

        Parameters
        ----------
        histories : Histories
            Of the dataset. Of those whose user is not known what is in the history itself counts.
        level : str
            ``"item"`` or ``"category_k"``.
        """
        row, code = histories.session(), histories.codes(level)
        if histories.user is None or not bool((histories.user >= 0).any()):
            return row, code
        known = np.flatnonzero(histories.user.numpy() >= 0)
        user = histories.user.numpy()[known]
        counts = self._first[user + 1] - self._first[user]
        session = self._by_user[ragged_arange(self._first[user], counts)]
        offsets = self.dataset.offsets
        lengths = offsets[session + 1] - offsets[session]
        item = self.dataset.item[ragged_arange(offsets[session], lengths)].astype(np.int64)
        paths = self.dataset.taxonomy.paths
        codes = paths[item, Level(level).k - 1].astype(np.int64) if Level(level).is_category else item
        rows = np.repeat(np.repeat(known, counts), lengths)
        return torch.cat([row, torch.from_numpy(rows)]), torch.cat([code, torch.from_numpy(codes)])
