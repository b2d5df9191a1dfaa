"""What profiles say of all codes of a level: against a plain loop, where codes are drawn, and as vectors to search."""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import sys
import types

import numpy as np
import pytest
import torch

from hup.models.hup.mixture.dense import dense_log_likelihood
from hup.models.hup.mixture.own_counts import OwnRuns
from hup.models.hup.model import HUP
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM, Level

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import mixture, output_of

RARE = 0.5  # is added to every count


def own_runs(model: HUP, level: Level, sessions: list[list[int]]) -> OwnRuns:
    counts = output_of(model).network.mixture(level).counts.numpy()
    offsets = np.cumsum([0, *map(len, sessions)])
    return OwnRuns.of(counts, np.asarray([code for codes in sessions for code in codes], dtype=np.int64), offsets)


@pytest.mark.parametrize("level", [ITEM, Level.category(1)])
def test_it_is_the_softmax_of_a_plain_loop_without_what_the_session_has_put_in(dataset, level):
    model = mixture(dataset)
    network, size = output_of(model).network, model.vocabulary.size(level)
    sessions = [[0, 1, 0, 2], [3, 2]]
    session, target = np.asarray([0, 0, 1]), [1, 2, 2]
    current = [0, 1, -1] if level == ITEM else [-1, -1, -1]
    profile = torch.randn(3, network.pyramid.target_table(level).weight.shape[1])
    with torch.no_grad():
        said = dense_log_likelihood(
            network,
            level,
            profile,
            torch.tensor(target),
            torch.tensor(current),
            session,
            own_runs(model, level, sessions),
            negatives=10**6,
        )
        vectors = network.pyramid.target_table(level).vectors()
        for query in range(3):
            scores = {}
            for code in range(size):
                left = float(network.mixture(level).counts[code]) - sessions[session[query]].count(code)
                if code != current[query]:
                    scores[code] = float(profile[query] @ vectors[code]) + math.log(left + RARE)
            whole = math.log(sum(math.exp(score) for score in scores.values()))
            assert float(said[query]) == pytest.approx(scores[target[query]] - whole, abs=1e-4)


def test_by_blocks_of_queries_it_is_the_same(dataset, monkeypatch):
    model = mixture(dataset)
    network, size = output_of(model).network, model.vocabulary.size(ITEM)
    own = own_runs(model, ITEM, [[0, 1, 0, 2], [3, 2]])
    session, target = np.asarray([0, 0, 1, 1, 1]), torch.tensor([1, 2, 2, 0, 5])
    current = torch.tensor([0, 1, -1, 4, 3])
    profile = torch.randn(5, network.pyramid.target_table(ITEM).weight.shape[1], requires_grad=True)

    def said() -> tuple[torch.Tensor, torch.Tensor]:
        values = dense_log_likelihood(network, ITEM, profile, target, current, session, own, 10**6)
        return values, torch.autograd.grad(values.sum(), profile)[0]

    whole = said()
    monkeypatch.setattr("hup.models.hup.mixture.dense._SCORES_PER_BLOCK", 2 * size)
    for one, other in zip(said(), whole, strict=True):
        torch.testing.assert_close(one, other)


def test_drawn_codes_pull_on_average_as_all_do(shops):
    """At its own distribution a softmax is at rest: the mean gradient over targets from it is 0.

    So it must be where codes are drawn, or training would not come to rest where the whole softmax does.
    """
    model = mixture(shops[1])
    network = output_of(model).network
    size = model.vocabulary.size(ITEM)
    vectors = network.pyramid.target_table(ITEM).vectors().detach()
    one = torch.randn(1, vectors.shape[1], generator=torch.Generator().manual_seed(3)) * 0.5
    bias = torch.log(network.mixture(ITEM).counts + RARE)
    chances = torch.softmax((one @ vectors.t())[0] + bias, dim=0)
    own = own_runs(model, ITEM, [[]])
    torch.manual_seed(0)
    n = 4000
    targets = torch.multinomial(chances, n, replacement=True)

    def pull(negatives: int, targets: torch.Tensor) -> torch.Tensor:
        profile = one.repeat(len(targets), 1).requires_grad_()
        nobody = torch.full((len(targets),), -1)
        said = dense_log_likelihood(
            network, ITEM, profile, targets, nobody, np.zeros(len(targets), dtype=np.int64), own, negatives
        )
        (gradient,) = torch.autograd.grad(said.sum(), profile)
        return gradient

    whole = pull(10**6, targets)
    spread = float(whole.std(dim=0).mean())
    assert float(whole.mean(dim=0).abs().mean()) < 0.1 * spread
    assert size > 40
    # One target a draw, as all targets of a batch are candidates.
    drawn = torch.cat([pull(20, targets[place : place + 1]) for place in range(600)])
    assert float((drawn - whole[:600]).std()) > 0, "nothing is drawn"
    assert float((drawn - whole[:600]).mean(dim=0).abs().mean()) < 0.15 * spread


def test_profile_times_vector_plus_bias_is_what_explore_ranks_by(dataset):
    """With all of the share on the profile, recommend gives the order that a search over the vectors gives."""
    model = mixture(dataset)
    network = output_of(model).network
    network.weights.data[:] = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0])
    for index in np.asarray(dataset.sessions("test"))[:6].tolist():
        histories, _ = histories_and_targets(dataset, np.asarray([index]))
        events = live_events(dataset, index)[: len(histories.item)]
        profile = model.profile(events)
        for level in model.levels:
            vectors = model.item_vectors() if level == ITEM else model.category_vectors(level)
            assert vectors.shape == (model.vocabulary.size(level), len(profile[level]))
            scores = vectors @ torch.from_numpy(profile[level]) + model.biases(level)
            if level == ITEM and int(histories.item[-1]) < len(scores):
                scores[histories.item[-1]] = -torch.inf
            with torch.inference_mode():
                said = output_of(model).ask(histories).alone[Level(level)].known[0]
            assert torch.equal(said.argsort(descending=True)[:20], scores.argsort(descending=True)[:20]), level


class PlainIndex:
    """What the page asks of ``faiss.IndexFlatIP``, where faiss is not there: all inner products, the largest first."""

    def __init__(self, size: int) -> None:
        self.rows = np.zeros((0, size), dtype=np.float32)

    def add(self, rows: np.ndarray) -> None:
        self.rows = np.vstack([self.rows, rows])

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ self.rows.T
        codes = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, codes, axis=1), codes


def test_the_search_of_the_documentation_finds_what_is_recommended(dataset, root, monkeypatch, capsys):
    model = mixture(dataset)
    output_of(model).network.weights.data[:] = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0])
    if importlib.util.find_spec("faiss") is None:
        monkeypatch.setitem(sys.modules, "faiss", types.SimpleNamespace(IndexFlatIP=PlainIndex))
    (block,) = re.findall(r"^```python\n(.*?)^```$", (root / "docs/best.md").read_text(), re.MULTILINE | re.DOTALL)
    index = int(np.asarray(dataset.sessions("test"))[0])
    events = live_events(dataset, index)
    exec(compile(block, "docs/best.md", "exec"), {"model": model, "session": events})
    printed = ast.literal_eval(capsys.readouterr().out)
    known = set(model.vocabulary.items)
    recommended = [one.name for one in model.recommend(events, k=40).ranked if one.name in known]
    # The item that the user is on is near its own profile; the search does not know that it is no candidate.
    assert [name for name in printed if name != events[-1].item][:15] == recommended[:15]
