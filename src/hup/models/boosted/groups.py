"""Queries of training and validation sessions as groups of candidates: features, what came next, and weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hup.data.dataset import Dataset
from hup.models.boosted.candidates import candidates_of
from hup.models.boosted.counted import Counted, shares_of
from hup.models.boosted.features import features
from hup.models.boosted.options import LightGBMConfig
from hup.models.boosted.queries import Queries, prefixes
from hup.models.hup.mixture.visits import joined, run_table, spread
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import histories_and_targets
from hup.sessions.left_out import newest_first
from hup.sessions.levels import ITEM, Level
from hup.sessions.runs import training_runs

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
_AT_ONCE = 64  # sessions


@dataclass(frozen=True)
class Groups:
    """Queries of some sessions at one level, whose answer is among their candidates.

    Attributes
    ----------
    names : list of str
        Of the features.
    features : ndarray
        ``(C, F)`` float32.
    is_next : ndarray
        ``(C,)`` bool, what came next.
    sizes : ndarray
        ``(Q,)`` int64, candidates of each query.
    is_end : ndarray
        ``(Q,)`` bool, whether a query is the last of its session.
    """

    names: list[str]
    features: Floats
    is_next: NDArray[np.bool_]
    sizes: Ints
    is_end: NDArray[np.bool_]


def weights(groups: Sequence[Groups], share: float) -> Floats:
    """Weigh candidates, ``(C,)`` of all groups: every query has ``share``, the ends of sessions have the rest besides.

    Users end sessions otherwise than they go through them, and what is asked for is the end.
    """
    is_end = np.concatenate([part.is_end for part in groups])
    by_query = share + (1 - share) * is_end * len(is_end) / max(int(is_end.sum()), 1)
    return np.repeat(by_query, np.concatenate([part.sizes for part in groups])).astype(np.float32)


def training_groups(dataset: Dataset, vocabulary: Vocabulary, config: LightGBMConfig, level: Level) -> list[Groups]:
    """Ask about the newest training sessions, each described by what is counted in the other folds; newest first.

    What is counted in a session tells its targets. To take that away from the counts of all does not help: of the
    candidates of a query then the one that came next has one count less than it had otherwise, and trees find that.
    So a session is described by counts and vectors of other sessions alone, whatever came next in it.
    """
    groups: list[Groups] = []
    left = config.queries
    lengths = np.minimum(np.diff(training_runs(dataset, ITEM)[1]) - 1, config.prefixes)
    for fold in newest_first(len(lengths), config.folds):
        fits = int((np.cumsum(lengths[fold.start : fold.stop][::-1]) <= left).sum())
        if not fits:
            break
        asked = range(fold.stop - fits, fold.stop)
        left -= int(lengths[asked.start : asked.stop].sum())
        counted = Counted.of(dataset, vocabulary, config, level, left_out=fold)
        groups += _groups(dataset, asked, counted, config, level)
    return groups


def validation_groups(dataset: Dataset, counted: Counted, config: LightGBMConfig, level: Level) -> list[Groups]:
    """Ask about validation sessions, evenly spaced ones where there are many, described by what training counted."""
    sessions = dataset.sessions("validation")
    apart = max(1, -(-len(sessions) * config.prefixes // config.queries))
    return list(_groups(dataset, sessions[::apart], counted, config, level))


def _groups(
    dataset: Dataset, sessions: range, counted: Counted, config: LightGBMConfig, level: Level
) -> Iterator[Groups]:
    """Ask about sessions, the last ones first."""
    none = dataset.taxonomy.no_category
    for stop in range(len(sessions), 0, -_AT_ONCE):
        histories, targets = histories_and_targets(dataset, np.asarray(sessions[max(0, stop - _AT_ONCE) : stop]))
        of_sessions = run_table(histories, len(dataset.behaviors))
        table = counted.with_earlier(of_sessions, histories)
        whole = joined(table, targets.item.numpy(), targets.categories.numpy())
        at = np.flatnonzero(table.is_now)[spread(of_sessions.offsets, config.prefixes)]
        queries = Queries.of(prefixes(table, at), config.visits)
        shares = shares_of(counted, queries, level, config.latest)
        candidates = candidates_of(
            counted, queries, shares[level], level, most=config.candidates, popular=config.popular, no_category=none
        )
        is_next = candidates.code == whole.codes(level)[at + table.session[at] + 1][candidates.query]
        found = np.bincount(candidates.query, is_next, len(queries)) > 0
        kept = candidates.of_queries(found)
        names, values = features(counted, queries, shares, level, kept)
        if len(values):
            sizes = np.bincount(kept.query, minlength=len(queries))[found]
            is_end = np.isin(at, table.offsets[1:] - 1)[found]
            yield Groups(names, values, is_next[found[candidates.query]], sizes, is_end)
