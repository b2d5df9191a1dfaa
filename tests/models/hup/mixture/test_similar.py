"""What followed the most similar profiles, against one loop over training sessions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from hup.data.dataset import Dataset
from hup.models.hup.mixture.similar import NEAREST, TEMPERATURE, Kept, SimilarProfiles
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM
from hup.sessions.runs import training_runs

from ....helpers.live_sessions import live_events
from ....helpers.mixtures import mixture, output_of

MANY = 10**6


def runs_of_training(dataset: Dataset) -> list[list[int]]:
    """Item runs of every training session, the target's among them."""
    items, offsets = training_runs(dataset, ITEM)
    return [items[low:high].tolist() for low, high in itertools.pairwise(offsets)]


@pytest.mark.parametrize("most_prefixes", [MANY, 3])
def test_what_is_kept_is_the_newest_sessions_and_what_followed_each_run(dataset, most_prefixes):
    sessions = runs_of_training(dataset)
    sizes = [min(len(runs) - 1, most_prefixes) for runs in sessions]
    for most in (1, sum(sizes[-7:]), sum(sizes[-7:]) + 1, MANY):
        kept = Kept.of(dataset, most, most_prefixes)
        expected = max(1, next((n for n in range(len(sizes), 0, -1) if sum(sizes[-n:]) <= most), 1))
        assert kept.sessions.tolist() == list(dataset.sessions("train"))[-expected:]
        assert len(kept.following) == sum(sizes[-expected:])
        assert (np.diff(kept.following) >= 0).all()
        unsorted = np.empty_like(kept.following)
        unsorted[kept.order] = kept.following
        if most_prefixes == MANY:
            assert unsorted.tolist() == [code for runs in sessions[-expected:] for code in runs[1:]]
        ends = np.cumsum(sizes[-expected:]) - 1
        assert unsorted[ends].tolist() == [runs[-1] for runs in sessions[-expected:]]


def test_the_kept_profiles_are_those_of_the_prefixes_live(dataset):
    """Each with the item that followed its prefix."""
    model = mixture(dataset)
    model.tune(dataset)
    similar = output_of(model).network.similar
    assert similar is not None
    options = model.config
    kept = Kept.of(dataset, options.mixture.similar, options.loss.most_prefixes)
    assert sorted(similar.codes.tolist()) == kept.following.tolist()
    for session in kept.sessions.tolist()[:5]:
        histories, targets = histories_and_targets(dataset, np.asarray([session]))
        items = [*histories.item.tolist(), int(targets.item)]
        events = live_events(dataset, session)[: len(histories.item)]
        for end in range(len(events)):
            if items[end] == items[end + 1] and end < len(events) - 1:
                continue  # the run goes on
            profile = torch.from_numpy(model.profile(events[: end + 1])["item"])
            with_it = similar.kept[similar.codes == items[end + 1]]
            assert (with_it - profile / profile.norm()).abs().amax(dim=1).min() < 1e-5


def test_it_is_a_softmax_over_all_that_is_kept_in_few_clusters():
    generator = torch.Generator().manual_seed(0)
    following = torch.tensor([0, 0, 2, 2, 2, 5, 6, 6])
    similar = SimilarProfiles(following, 3)
    similar.cluster(torch.nn.functional.normalize(torch.randn(len(following), 3, generator=generator)))
    profiles, current = torch.randn(20, 3, generator=generator), torch.arange(20) % 9 - 1
    said = similar.followed(profiles, current, 8)
    for row, (profile, own) in enumerate(zip(profiles, current.tolist(), strict=True)):
        sums = [0.0] * 8
        for kept, code in zip(similar.kept, similar.codes.tolist(), strict=True):
            if code != own:
                sums[code] += math.exp(float(kept @ profile / profile.norm()) / TEMPERATURE)
        expected = [value / sum(sums) for value in sums]
        assert said[row].tolist() == pytest.approx(expected, abs=1e-5)


def test_of_many_those_of_the_nearest_clusters_are_looked_at():
    generator = torch.Generator().manual_seed(0)
    following = torch.randint(0, 30, (2000,), generator=generator).sort().values
    similar = SimilarProfiles(following, 6)
    similar.cluster(functional.normalize(torch.randn(2000, 6, generator=generator)))
    assert sorted(similar.codes.tolist()) == following.tolist()
    cluster = torch.arange(len(similar.centers)).repeat_interleave(similar.bounds.diff())
    assert (similar.kept @ similar.centers.t()).argmax(dim=1).tolist() == cluster.tolist()
    profiles, current = torch.randn(9, 6, generator=generator), torch.arange(9) - 1
    said = similar.followed(profiles, current, 30)
    for row, (profile, own) in enumerate(zip(functional.normalize(profiles), current.tolist(), strict=True)):
        near = (similar.centers @ profile).argsort(descending=True)[:NEAREST]
        weight = ((similar.kept @ profile) / TEMPERATURE).exp() * torch.isin(cluster, near) * (similar.codes != own)
        expected = torch.zeros(30).index_add(0, similar.codes, weight / weight.sum())
        torch.testing.assert_close(said[row], expected, atol=1e-6, rtol=1e-4)
        codes, shares = similar.followed_one(profiles[row].numpy(), own)
        one = np.bincount(codes, shares, 30)
        np.testing.assert_allclose(one, expected, atol=1e-6, rtol=1e-4)


def test_where_only_the_current_item_ever_followed_it_says_nothing():
    similar = SimilarProfiles(torch.tensor([3, 3]), 2)
    similar.cluster(torch.eye(2))
    said = similar.followed(torch.ones(2, 2), torch.tensor([3, 1]), 5)
    assert said.sum(dim=1).tolist() == pytest.approx([0, 1])


def test_it_can_be_left_out(dataset):
    model = mixture(dataset, "mixture.similar=0")
    model.tune(dataset)
    network = output_of(model).network
    assert network.similar is None
    assert not network.weights[:, 1].any()
    assert "similar" not in " ".join(model.tensors())


def test_a_loaded_model_keeps_them(dataset, tmp_path):
    import hup

    model = mixture(dataset)
    model.tune(dataset)
    model.save_pretrained(tmp_path / "model")
    again = hup.load(tmp_path / "model")
    first, second = (output_of(one).network.similar for one in (model, again))
    assert first is not None
    assert second is not None
    assert torch.equal(first.kept, second.kept)
    assert torch.equal(first.codes, second.codes)
