"""Our metrics against those of a published library, on random rankings with ties.

Ties count against a model: the target ranks behind all that score alike. Libraries put an order into ties by name
instead, so the target gets the name that comes last in it: trec_eval (behind Recall and nDCG) takes equal scores from
the end of the alphabet, MS MARCO's script (behind RR@k) from its beginning.
"""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, Recall, Success, nDCG

from hup.evaluation.metrics import RANK_METRICS
from hup.recommender.candidates import Scores, target_ranks

SESSIONS, ITEMS = 60, 40
LAST = {"recall": "0", "ndcg": "0", "mrr": "z"}  # all other names begin with "i"
THEIRS = {"recall": (Recall, Success), "ndcg": (nDCG,), "mrr": (RR,)}


def random_ranking(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores ``(sessions, items)`` of few different values, targets, and what is no candidate: at times the target."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size=(SESSIONS, ITEMS)).astype(np.float32)
    targets = rng.integers(0, ITEMS, size=SESSIONS)
    excluded = np.where(rng.random(SESSIONS) < 0.1, targets, (targets + 1) % ITEMS)
    return scores, targets, excluded


@pytest.mark.parametrize("metric", RANK_METRICS)
@pytest.mark.parametrize("levels", [1, 3, 12, 10_000])
@pytest.mark.parametrize("seed", [0, 1])
def test_figures_of_every_session_are_equal(metric, levels, seed):
    scores, targets, excluded = random_ranking(seed, levels)
    known = torch.from_numpy(scores)
    nothing = torch.zeros(SESSIONS, 0)
    ranks = target_ranks(
        Scores(known, nothing, nothing.long()), torch.from_numpy(targets), excluded=torch.from_numpy(excluded)
    )
    assert np.isinf(ranks).any()

    def name(session: int, item: int) -> str:
        return LAST[metric] if item == targets[session] else f"i{item:02}"

    qrels = {f"s{s}": {name(s, targets[s]): 1} for s in range(SESSIONS)}
    run = {
        f"s{s}": {name(s, item): float(scores[s, item]) for item in range(ITEMS) if item != excluded[s]}
        for s in range(SESSIONS)
    }
    for k in (1, 5, 20, 1_000):
        ours = RANK_METRICS[metric](ranks, k)
        for theirs in THEIRS[metric]:
            found = {one.query_id: one.value for one in ir_measures.iter_calc([theirs @ k], qrels, run)}
            assert len(found) == SESSIONS
            assert ours == pytest.approx([found[f"s{s}"] for s in range(SESSIONS)], abs=1e-9), theirs @ k
