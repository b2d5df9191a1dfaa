"""Verdicts on the paper's claims: held, refuted or open, by tests over sessions; and the agreement in order."""

from __future__ import annotations

import numpy as np
import pytest

from hup.report.agreement import agreement
from hup.report.claims import CLAIMS, FAILS, HOLDS, UNSURE, judge
from hup.report.paired import PairedTests
from hup.report.paper import PAPER_ROWS, paper_figure
from hup.report.summary import summary_sentences

SESSIONS = 300
BEST, GOOD, POOR = (np.full(SESSIONS, rank, dtype=float) for rank in (1.0, 4.0, 30.0))


def varied(share: float, seed: int) -> np.ndarray:
    """Rank 1 in a share of the sessions, not found in the others."""
    return np.where(np.random.default_rng(seed).random(SESSIONS) < share, 1.0, np.inf)


def verdicts(results) -> dict[str, str]:
    return {judged.claim.text: judged.overall for judged in judge(results)}


BEHAVIOR_GATES = "Behavior gates help: HUP is better than HUP-TLSTM"
RECENCY = "HUP is better than Recency, which nothing is trained for"


@pytest.mark.parametrize(
    ("hup", "variant", "expected"),
    [
        (varied(0.8, 1), varied(0.2, 2), HOLDS),
        (varied(0.2, 1), varied(0.8, 2), FAILS),
        (varied(0.5, 1), varied(0.5, 1), UNSURE),
        (varied(0.51, 1), varied(0.5, 2), UNSURE),
    ],
)
def test_a_claim_holds_only_where_sessions_prove_it(results_of, hup, variant, expected):
    found = verdicts(results_of({"hup": hup, "hup-tlstm": variant}))
    assert found[BEHAVIOR_GATES] == expected


def test_a_claim_on_rows_that_are_not_all_there_is_never_held(results_of):
    found = verdicts(results_of({"hup": varied(0.9, 1), "hup-tlstm": varied(0.1, 2), "hup-lstm": varied(0.1, 3)}))
    assert found["HUP is better than every variant of it"] == UNSURE
    assert found[BEHAVIOR_GATES] == HOLDS
    assert RECENCY not in found, "no row of recency, no claim on it"


def test_many_pairs_are_corrected_together(results_of):
    """A p-value just under 0.01 proves one pair, and none of five."""
    share = next(s for s in np.arange(0.5, 0.8, 0.002) if _p(results_of, s) < 0.009)
    rows = {"hup": varied(share, 1), **{row: varied(0.5, 2) for row in ("hup-nomicro", "hup-lstm", "hup-tlstm")}}
    rows |= {row: varied(0.5, 2) for row in ("hup-noatt", "hup-single")}
    found = verdicts(results_of(rows, train_sessions=5))
    assert found[BEHAVIOR_GATES] == HOLDS
    assert found["HUP is better than every variant of it"] == UNSURE


def _p(results_of, share: float) -> float:
    results = results_of({"hup": varied(share, 1), "recency": varied(0.5, 2)}, train_sessions=int(share * 1e6))
    found = PairedTests(results).compare("hup", "recency", "item", "recall")
    assert found is not None
    assert found.p is not None
    return found.p


def test_pairs_are_compared_from_the_ranks_of_their_folder(results_of):
    tests = PairedTests(results_of({"hup": BEST, "recency": GOOD, "rib": POOR}))
    found = tests.compare("recency", "rib", "item", "mrr")
    assert found is not None
    assert found.mean == pytest.approx(0.25)
    assert found.p == 0.0, "the same difference in every session"
    assert tests.compare("recency", "nobody", "item", "mrr") is None


def test_the_same_order_as_the_paper_is_one_and_the_reverse_minus_one(results_of):
    by_paper = sorted(PAPER_ROWS, key=lambda row: -_paper(row))
    ranks = {row: np.full(10, 1.0 + place) for place, row in enumerate(by_paper)}
    same = {(one.level, one.metric): one for one in agreement(results_of(ranks), "appliances")}
    assert same["item", "mrr"].kendall == pytest.approx(1.0, abs=0.05), "HUP-NoAtt and HUP-Single are tied there"
    assert same["item", "mrr"].rows == len(PAPER_ROWS)
    assert same["item", "recall"].kendall is None, "every row finds all, so there is no order"
    reverse = {row: np.full(10, 20.0 - place) for place, row in enumerate(by_paper)}
    turned = agreement(results_of(reverse, train_sessions=9), "appliances")
    assert {(one.level, one.metric): one for one in turned}["item", "mrr"].kendall == pytest.approx(-1.0, abs=0.05)


def _paper(row: str) -> float:
    found = paper_figure("appliances", row, "item", "mrr", "category_1")
    assert found is not None
    return found


def test_the_summary_says_who_loses(results_of):
    results = results_of({"hup": POOR, "recency": BEST, "hup-lstm": GOOD}, failed=("rib",))
    told = " ".join(summary_sentences(results, judge(results), ["item"]))
    assert "Items: RECENCY is best in Recall@20 with 100.0 %" in told
    assert "HUP comes 3rd of 3 by Recall@20" in told
    assert "HUP loses to Recency" in told
    assert "No figures for RIB" in told


def test_every_claim_names_rows_that_exist():
    from hup.experiment.rows import all_rows

    known = {row.name for row in all_rows()}
    assert {name for claim in CLAIMS for name in (*claim.better, *claim.worse)} <= known
