"""Profile vectors of many users of a dataset: one pass of the pyramid over a batch, and whole columns of a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.nn.pyramid import Pyramid
from hup.recommender.in_batches import AnswerInBatches, Progress
from hup.recommender.many import batches_by_length
from hup.sessions.asked import Asked
from hup.sessions.levels import Buckets, pyramid_steps

_SESSIONS_AT_ONCE = 512


class ManyProfiles(AnswerInBatches):
    """Makes the profiles of many sessions.

    Parameters
    ----------
    pyramid : Pyramid
        In evaluation mode.
    buckets : Buckets
    dataset : Dataset
        That the model was fitted on, or one that grew out of it.
    key : {"user", "session"}
        What the first column is called.
    """

    sessions_per_batch = 4096

    def __init__(self, pyramid: Pyramid, buckets: Buckets, dataset: Dataset, key: str) -> None:
        self.pyramid, self.buckets, self.dataset = pyramid, buckets, dataset
        self.schema = pa.schema([(key, pa.string()), ("level", pa.string()), ("vector", pa.list_(pa.float32()))])

    def batch(self, asked: Asked, progress: Progress | None = None) -> pa.RecordBatch:
        """Answer for all that are asked about, by level, bottom first; as for :class:`AnswerInBatches`."""
        vectors: dict[str, NDArray[np.float32]] = {}
        for place, histories in batches_by_length(self.dataset, asked.sessions, _SESSIONS_AT_ONCE):
            with torch.inference_mode():
                made = self.pyramid(histories, pyramid_steps(histories, self.buckets))
            for level, profile in made.items():
                found = profile.vector.cpu().numpy()
                vectors.setdefault(level, np.zeros((len(asked), found.shape[1]), dtype=np.float32))[place] = found
            if progress is not None:
                progress(len(place))
        # One session after the other, and its levels side by side.
        values = np.concatenate(list(vectors.values()), axis=1).ravel()
        sizes = [vector.shape[1] for vector in vectors.values()]
        ends = np.cumsum(np.tile(sizes, len(asked)))
        columns = [
            asked.names.take(pa.array(np.repeat(np.arange(len(asked)), len(sizes)))).cast(pa.string()),
            pa.array(np.tile(list(vectors), len(asked)), pa.string()),
            pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), values),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)
