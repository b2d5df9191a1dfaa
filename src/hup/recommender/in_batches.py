"""An answer about many sessions, made some thousand at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import pyarrow as pa

from hup.sessions.asked import Asked

Progress = Callable[[int], None]


class AnswerInBatches(ABC):
    """Makes a record batch for the sessions of a part, and so tables and streams for all.

    Attributes
    ----------
    schema : pa.Schema
        Columns of the answer.
    sessions_per_batch : int
        Sessions whose rows are one record batch, and one row group of a file.
    """

    schema: pa.Schema
    sessions_per_batch: int

    @abstractmethod
    def batch(self, asked: Asked, progress: Progress | None = None) -> pa.RecordBatch:
        """Answer for all that are asked about in one record batch; rows are in the order asked.

        Parameters
        ----------
        asked : Asked
        progress : callable, optional
            Called with the number of sessions done since its last call.
        """

    def batches(self, asked: Asked, progress: Progress | None = None) -> Iterator[pa.RecordBatch]:
        """Answer batch by batch; parameters as for :meth:`batch`."""
        for low in range(0, len(asked), self.sessions_per_batch):
            yield self.batch(asked.part(low, low + self.sessions_per_batch), progress)

    def table(self, asked: Asked, progress: Progress | None = None) -> pa.Table:
        """Answer at once; parameters as for :meth:`batch`."""
        return pa.Table.from_batches(self.batches(asked, progress), self.schema)

    def stream(self, asked: Asked, progress: Progress | None = None) -> pa.RecordBatchReader:
        """Answer as it is read; parameters as for :meth:`batch`."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches(asked, progress))
