"""Recommendations for many users of a dataset: one pass of the model over a batch, and whole columns of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.data.item_columns import ItemColumns
from hup.recommender.answer_table import ORIGIN
from hup.recommender.best import Best, best_codes, candidate_scores, in_order_of_events
from hup.recommender.candidates import LevelScores, excluded_codes
from hup.recommender.code_names import PATH, CodeNames
from hup.recommender.in_batches import AnswerInBatches, Progress
from hup.recommender.known_scores import refuse_nan
from hup.recommender.restriction import Restriction
from hup.recommender.shown_items import ShownItems
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.asked import Asked
from hup.sessions.batches import Histories, whole_sessions
from hup.sessions.ever import EverSeen
from hup.sessions.levels import Level

_SESSIONS_PER_BATCH, _ROWS_PER_BATCH = 4096, 1 << 17  # at most, of a record batch
_SESSIONS_AT_ONCE = 1024
_EVENTS_AT_ONCE = 1 << 16
_SCORE_BYTES = 64 * 2**20  # of one level of the sessions that are scored at once


class Scorer(Protocol):
    """What of a recommender is needed here."""

    name: str
    item_columns: ItemColumns | None

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and codes of the training split."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels that can be recommended."""
        ...

    def quick_scores(self, histories: Histories) -> LevelScores:
        """Score every candidate of every level for each history."""
        ...


class ManyRecommendations(AnswerInBatches):
    """Answers one question for many sessions.

    Parameters
    ----------
    model : Scorer
        Fitted on the dataset, or on an earlier state of it.
    dataset : Dataset
    key : {"user", "session"}
        What the first column is called.
    levels : sequence of str
    k : int
    restriction : Restriction
    show : sequence of str, optional
        Columns of the items to give along; by default the one with their names or titles, if there is one.

    Attributes
    ----------
    schema : pa.Schema
        Columns of the answer.
    shown : ShownItems
        What is given along of items.
    sessions_per_batch : int
        Sessions whose rows are one record batch, and one row group of a file.

    Raises
    ------
    HupError
        The restriction does not fit a level, or there is no such column.
    """

    def __init__(
        self,
        model: Scorer,
        dataset: Dataset,
        key: str,
        levels: Sequence[str],
        k: int,
        restriction: Restriction,
        show: Sequence[str] | None = None,
    ) -> None:
        for level in levels:
            restriction.check(model.vocabulary, level)
        self.model, self.dataset, self.levels, self.k = model, dataset, tuple(levels), k
        self.schema = pa.schema(
            [
                (key, pa.string()),
                ("level", pa.string()),
                ("rank", pa.int32()),
                ("name", pa.string()),
                ("path", PATH),
                ("score", pa.float32()),
                ("origin", ORIGIN),
            ]
        )
        self.shown = ShownItems(dataset, dataset.item_columns or model.item_columns, show)
        if self.shown.columns and "item" in self.levels:
            self.schema = self.schema.append(pa.field("item", self.shown.type))
        self.sessions_per_batch = max(1, min(_SESSIONS_PER_BATCH, _ROWS_PER_BATCH // (k * len(self.levels))))
        self._names = CodeNames(dataset)
        self._allowed = {level: restriction.of_dataset(dataset, model.vocabulary, level) for level in levels}
        self._ever = EverSeen(dataset) if restriction.new_only else None

    def batch(self, asked: Asked, progress: Progress | None = None) -> pa.RecordBatch:
        """Answer for all that are asked about, by level and rank; as for :class:`AnswerInBatches`."""
        found = [_Found.nothing(level, len(asked), self.k) for level in self.levels]
        for place, histories in batches_by_length(self.dataset, asked.sessions, sessions_at_once(self.model)):
            with torch.inference_mode():
                answer = self.model.quick_scores(histories)
                for of in found:
                    self._answer(answer, histories, of, place)
            if progress is not None:
                progress(len(place))
        rows = pa.concat_tables([self._rows(asked, of) for of in found])
        if len(found) > 1:
            session = np.concatenate([of.rows()[0] for of in found])
            rows = rows.take(pa.array(np.argsort(session, kind="stable")))
        columns = [column.combine_chunks() for column in rows.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _answer(self, answer: LevelScores, histories: Histories, found: _Found, place: NDArray[np.int64]) -> None:
        """Put the best of one level for a batch where they belong."""
        level = found.level
        scores = in_order_of_events(answer[level], histories, level)
        refuse_nan(scores.known, self.model.name)
        values = candidate_scores(
            scores,
            excluded_codes(histories, level, self.dataset.taxonomy.no_category),
            self._allowed[level],
            None if self._ever is None else self._ever.pairs(histories, level),
        )
        best = best_codes(values, scores.own_codes, self.k)
        found.put(place, best)
        if answer.origins is not None:
            row, column = (best.place >= 0).nonzero().unbind(1)
            shares = answer.origins(level, row, best.place[row, column])
            found.put_shares(place[row.numpy()], column.numpy(), shares.numpy())

    def _rows(self, asked: Asked, found: _Found) -> pa.Table:
        session, column, code = found.rows()
        shares = None if found.shares is None else found.shares[session, column].T
        columns = [
            asked.names.take(pa.array(session)).cast(pa.string()),
            pa.repeat(pa.scalar(str(found.level)), len(code)),
            pa.array((column + 1).astype(np.int32)),
            self._names.names(found.level, code),
            self._names.paths(found.level, code),
            pa.array(found.score[session, column]),
            pa.nulls(len(code), ORIGIN)
            if shares is None
            else pa.StructArray.from_arrays([pa.array(share) for share in shares], fields=list(ORIGIN)),
        ]
        if "item" in self.schema.names:
            columns.append(self.shown.values(found.level, code))
        return pa.Table.from_arrays(columns, schema=self.schema)


@dataclass
class _Found:
    """The best of one level for ``n`` sessions, being filled in.

    Attributes
    ----------
    level : str
    code : ndarray
        ``(n, k)`` int64, -1 = none.
    score : ndarray
        ``(n, k)`` float32.
    shares : ndarray or None
        ``(n, k, 4)`` float32, of the origin.
    """

    level: str
    code: NDArray[np.int64]
    score: NDArray[np.float32]
    shares: NDArray[np.float32] | None = None

    @classmethod
    def nothing(cls, level: str, n: int, k: int) -> Self:
        return cls(level, np.full((n, k), -1), np.zeros((n, k), dtype=np.float32))

    def put(self, place: NDArray[np.int64], best: Best) -> None:
        width = best.place.shape[1]
        self.code[place, :width] = best.place.numpy()
        self.score[place, :width] = best.score.numpy()

    def put_shares(self, place: NDArray[np.int64], column: NDArray[np.int64], shares: NDArray[np.float32]) -> None:
        if self.shares is None:
            self.shares = np.zeros((*self.code.shape, shares.shape[1]), dtype=np.float32)
        self.shares[place, column] = shares

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Session, column and code of all that was found, by session and rank."""
        session, column = np.nonzero(self.code >= 0)
        return session, column, self.code[session, column]


def sessions_at_once(model: Scorer) -> int:
    """Count the sessions whose scores fit the memory that they may have."""
    size = max(model.vocabulary.size(level) for level in model.levels)
    return max(1, min(_SESSIONS_AT_ONCE, _SCORE_BYTES // (4 * max(size, 1))))


def batches_by_length(
    dataset: Dataset, sessions: NDArray[np.int64], size: int
) -> Iterator[tuple[NDArray[np.int64], Histories]]:
    """Lay out sessions as they stand, of like length together: a model that pads wastes little then.

    Parameters
    ----------
    dataset : Dataset
    sessions : ndarray
        ``(n,)`` session indices.
    size : int
        Most sessions of a batch; long ones are fewer.

    Yields
    ------
    ndarray
        ``(B,)`` places in ``sessions``.
    Histories
        Of these sessions; what is known only once they go on is masked.
    """
    lengths = np.diff(dataset.offsets)[sessions]
    by_length = np.argsort(lengths, kind="stable")
    low = 0
    while low < len(sessions):
        place = by_length[low : low + size]
        events = np.arange(1, len(place) + 1) * lengths[place]  # if all were as long as the last one
        place = place[: max(1, int(np.count_nonzero(events <= _EVENTS_AT_ONCE)))]
        low += len(place)
        yield place, whole_sessions(dataset, sessions[place], "mask")
