"""Word2vec vectors of items and categories, fitted on the sequences of the training split (Mikolov et al. 2013)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hup.data.columns import changes
from hup.data.dataset import Dataset
from hup.sessions.levels import Level
from hup.sessions.runs import run_counts

_HELD = 5_000_000  # runs that are held in memory as words, some ten bytes each


class RunSequences:
    """The sequence of runs of each training session at one level, as words; can be read many times.

    Parameters
    ----------
    dataset : Dataset
    level : str
        ``"item"`` or ``"category_k"``.
    left_out : range
        Training sessions that are not read; 0 = the first one.
    """

    def __init__(self, dataset: Dataset, level: str, left_out: range = range(0)) -> None:
        self._dataset = dataset
        self._level = Level(level)
        self._left_out = left_out

    def __iter__(self) -> Iterator[list[str]]:
        paths, offsets = self._dataset.taxonomy.paths, self._dataset.offsets
        n_known = self._level.pick(self._dataset.n_train_items, self._dataset.n_train_categories)
        words = [str(code) for code in range(n_known)]
        for number, session in enumerate(self._dataset.sessions("train")):
            if number in self._left_out:
                continue
            codes = self._dataset.item[offsets[session] : offsets[session + 1]]
            if self._level.is_category:
                codes = paths[codes, self._level.k - 1]
            yield [words[code] for code in codes[changes(codes)].tolist()]


def word2vec_vectors(
    dataset: Dataset,
    level: str,
    size: int,
    *,
    window: int = 5,
    epochs: int = 50,
    budget: int = 50_000_000,
    seed: int = 0,
    cbow: bool = False,
    start: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
    left_out: range = range(0),
) -> Tensor:
    """Fit skip-gram (or CBOW) with negative sampling and return the vector of every known code.

    Parameters
    ----------
    dataset : Dataset
        Only its training split is read.
    level : str
        ``"item"`` or ``"category_k"``.
    size : int
        Size of a vector.
    window, epochs, seed : int
        As in gensim's Word2Vec; one worker, so that the same seed gives the same vectors.
    budget : int
        Most runs to read in all epochs together: on a large log fewer epochs teach as much. One is always made.
    cbow : bool
        Predict a code from the mean of its neighbours (CBOW) instead of each neighbour from the code (skip-gram).
    start : tuple of ndarray, optional
        Codes ``(m,)`` and the vectors ``(m, size)`` that they begin with; the others begin with random numbers. So the
        space stays about that of the vectors given.
    left_out : range
        Training sessions that are not read; 0 = the first one.

    Returns
    -------
    Tensor
        ``(n_known, size)`` float32; 0 for what is in none of the sessions that are read.
    """
    from gensim.models import Word2Vec

    n_known = Level(level).pick(dataset.n_train_items, dataset.n_train_categories)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        n_runs = int(run_counts(dataset, level).sum())
        sentences: Iterable[list[str]] = RunSequences(dataset, level, left_out)
        if n_runs <= _HELD:  # else each epoch cuts the sessions into runs anew
            sentences = list(sentences)
        model = Word2Vec(
            vector_size=size,
            window=window,
            sg=int(not cbow),
            negative=5,
            min_count=1,
            sample=0,
            epochs=max(1, min(epochs, budget // max(1, n_runs))),
            seed=seed + 1,
            workers=1,
        )
        model.build_vocab(sentences)
        if start is not None:
            model.wv.vectors[[model.wv.key_to_index[str(code)] for code in start[0]]] = start[1]
        if len(model.wv):  # some sessions are left to read
            model.train(sentences, total_examples=model.corpus_count, epochs=model.epochs)
    vectors = np.zeros((n_known, size), dtype=np.float32)
    vectors[[int(word) for word in model.wv.index_to_key]] = model.wv.vectors
    return torch.from_numpy(vectors)


def vectors_of_levels(dataset: Dataset, sizes: Mapping[Level, int], **options: Any) -> dict[str, Tensor]:
    """Fit the vectors of several levels side by side, on as many threads as PyTorch has; each as if it were alone.

    Parameters
    ----------
    dataset : Dataset
    sizes : mapping of Level to int
        Size of a vector of each level.
    **options
        As for :func:`word2vec_vectors`; ``start`` by level.

    Returns
    -------
    dict of str to Tensor
        By level, as :func:`word2vec_vectors` gives them.
    """
    starts = options.pop("start", {})

    def one(level: Level) -> Tensor:
        return word2vec_vectors(dataset, level, sizes[level], start=starts.get(level), **options)

    # What threads do to the filters of warnings one beside the other is undone here.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(torch.get_num_threads(), len(sizes))) as threads:
        return dict(zip(sizes, threads.map(one, sizes), strict=True))
