"""The simulator: the same seed, a real tree, sessions like the JD samples', and hidden structure worth learning."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hup.errors import HupError
from hup.simulator import SimulatorConfig, build_catalogue, simulate_chunks
from hup.simulator.config import CHUNK_SESSIONS
from hup.simulator.fidelity import measure_log

SMALL = SimulatorConfig(sessions=300, items=400, levels=3, seed=5, mean_events=10)
LIKE_SAMPLES = SimulatorConfig(sessions=2 * CHUNK_SESSIONS, items=170_000, seed=1)


class Log:
    """A whole simulated log in memory."""

    def __init__(self, config):
        self.config = config
        self.shop = build_catalogue(config)
        self.chunks = list(simulate_chunks(config, self.shop))
        self.offsets = np.r_[0, np.cumsum(np.concatenate([np.diff(chunk.offsets) for chunk in self.chunks]))]
        for name in ("item", "behavior", "interval", "dwell", "user", "start_ms"):
            setattr(self, name, np.concatenate([getattr(chunk, name) for chunk in self.chunks]))
        self.event_ms = np.concatenate([chunk.event_ms() for chunk in self.chunks])
        self.session = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        new = (self.item[1:] != self.item[:-1]) | (self.session[1:] != self.session[:-1])
        self.run_first = np.flatnonzero(np.r_[True, new])
        self.run_item = self.item[self.run_first]
        self.run_session = self.session[self.run_first]
        self.run_follows = self.run_session[1:] == self.run_session[:-1]

    def figures(self):
        return measure_log(self.offsets, self.item, self.shop.leaf[self.item], self.behavior, self.interval, self.dwell)


@pytest.fixture(scope="module")
def small():
    return Log(SMALL)


@pytest.fixture(scope="module")
def like_samples():
    return Log(LIKE_SAMPLES)


def columns(log):
    return [log.offsets, log.item, log.behavior, log.interval, log.dwell, log.user, log.start_ms]


def test_same_seed_same_log(small):
    again = Log(SMALL)
    for one, other in zip(columns(small), columns(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_chunk_is_a_new_one(like_samples):
    first, second = like_samples.chunks
    lengths = np.diff(first.offsets), np.diff(second.offsets)
    assert abs(np.corrcoef(*lengths)[0, 1]) < 0.1  # a stream of its own, not the first one again
    assert second.first_event == first.events
    assert second.first_session == first.sessions


def test_another_seed_another_log(small):
    other = Log(replace(SMALL, seed=6))
    assert not np.array_equal(small.item[:500], other.item[:500])


@pytest.mark.parametrize("sessions", [1, CHUNK_SESSIONS - 1, CHUNK_SESSIONS, CHUNK_SESSIONS + 7])
def test_first_sessions_do_not_depend_on_how_many_follow(sessions):
    short = Log(replace(SMALL, sessions=sessions))
    long = Log(replace(SMALL, sessions=2 * CHUNK_SESSIONS))
    events = short.offsets[-1]
    assert len(short.offsets) == sessions + 1
    np.testing.assert_array_equal(short.offsets, long.offsets[: sessions + 1])
    for name in ("item", "behavior", "interval", "dwell", "event_ms"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:events])
    np.testing.assert_array_equal(short.user, long.user[:sessions])


@pytest.mark.parametrize(("items", "levels", "categories"), [(4, 1, 1), (5, 4, 2), (400, 3, None), (5000, 2, 700)])
def test_tree_gives_every_item_one_path(items, levels, categories):
    shop = build_catalogue(SimulatorConfig(items=items, levels=levels, categories=categories))
    paths = shop.paths
    assert paths.shape == (items, levels)
    if categories:
        assert len(shop.tree[-1]) == categories
    for level in range(levels):
        assert set(paths[:, level]) == set(range(len(shop.tree[level])))  # no category without items
    for level in range(1, levels):
        edges = np.unique(paths[:, level - 1 : level + 1], axis=0)
        assert len(edges) == len(shop.tree[level])  # one parent each
        np.testing.assert_array_equal(shop.tree[level][edges[:, 1]], edges[:, 0])
    assert len(set(shop.number)) == items


def test_tree_is_ragged_and_widens():
    shop = build_catalogue(SimulatorConfig(items=20_000, levels=3))
    widths = [len(parents) for parents in shop.tree]
    assert all(wide > narrow for narrow, wide in pairwise(widths))
    assert len(set(np.bincount(shop.tree[2]))) > 2
    leaf_sizes = np.bincount(shop.leaf)
    assert leaf_sizes.max() > 8 * np.median(leaf_sizes)


def test_successor_is_another_item_of_the_style():
    shop = build_catalogue(SimulatorConfig(items=3_000, levels=2))
    np.testing.assert_array_equal(shop.style[shop.successor], shop.style)
    np.testing.assert_array_equal(np.sort(shop.successor), np.arange(3_000))
    several = shop.style_size[shop.style] > 1
    assert not np.any(shop.successor[several] == np.flatnonzero(several))


@pytest.mark.parametrize(("items", "categories"), [(4, 1), (4, 2), (9, 4), (60, 5)])
def test_tiny_shops_keep_sessions_of_at_least_two_runs(items, categories):
    log = Log(SimulatorConfig(sessions=500, items=items, categories=categories, mean_events=4, style_items=2))
    assert np.bincount(log.run_session).min() >= 2
    assert log.item.min() >= 0
    assert log.item.max() < items


def test_session_length_follows_mean_events():
    for mean in (8, 25):
        lengths = np.diff(Log(replace(SMALL, mean_events=mean, sessions=CHUNK_SESSIONS)).offsets)
        assert lengths.mean() == pytest.approx(mean, rel=0.05)
        assert lengths.min() >= int(0.65 * mean)


# Each range holds the figure of the 1,000 JD sessions of Appliances, which the default configuration follows.
SAMPLE_RANGES = {
    "events per session, p10": (40, 43),
    "events per session, median": (50, 54),
    "events per session, p90": (76, 84),
    "item runs per session, median": (30, 33),
    "events per item run, mean": (1.63, 1.71),
    "events per item run, median": (1, 1),
    "events per item run, p90": (3, 3),
    "events per item run, p99": (5, 6),
    "item runs that return, share": (0.34, 0.39),
    "sessions whose target is in the history, share": (0.58, 0.64),
    "runs 6-10 of a session that return, share": (0.26, 0.31),
    "runs 21-30 of a session that return, share": (0.42, 0.49),
    "returns after one other run, share": (0.23, 0.28),
    "returns after more than 10 runs, share": (0.19, 0.25),
    "run in the category of the run before, share": (0.88, 0.93),
    "categories per session, median": (2, 2),
    "items per session, median": (19, 22),
    "runs on the most popular 1 % of the items seen, share": (0.10, 0.18),
    "1 Home2Product, share": (0.008, 0.012),
    "2 ShopList2Product, share": (0.050, 0.061),
    "3 Sale2Product, share": (0.003, 0.005),
    "4 Cart2Product, share": (0.070, 0.095),
    "5 SearchList2Product, share": (0.47, 0.50),
    "6 Detail_comments, share": (0.090, 0.108),
    "7 Detail_specification, share": (0.130, 0.145),
    "8 Detail_bottom, share": (0.053, 0.063),
    "9 Cart, share": (0.055, 0.066),
    "10 Order, share": (0.002, 0.005),
    "entry behavior as in the run before, share": (0.89, 0.93),
    "interval, s, p10": (3, 5),
    "interval, s, p25": (8, 10),
    "interval, s, median": (21, 25),
    "interval, s, p75": (55, 65),
    "interval, s, p90": (145, 170),
    "interval, s, p99": (2_800, 3_800),
    "dwell, s, p10": (5, 7),
    "dwell, s, p25": (13, 16),
    "dwell, s, median": (34, 42),
    "dwell, s, p75": (82, 97),
    "dwell, s, p90": (185, 220),
    "dwell, s, p99": (1_000, 1_350),
    "median dwell of runs with details, s": (46, 56),
    "median dwell of runs without, s": (12, 15),
}


@pytest.fixture(scope="module")
def figures(like_samples):
    return like_samples.figures()


@pytest.mark.parametrize("name", SAMPLE_RANGES)
def test_figure_is_near_the_jd_samples(figures, name):
    low, high = SAMPLE_RANGES[name]
    assert low <= figures[name] <= high


def test_measure_log_counts_by_hand():
    # Two sessions: items a a b a | c d; categories 0 0 1 0 | 2 2.
    figures = measure_log(
        offsets=np.array([0, 4, 6]),
        item=np.array([0, 0, 1, 0, 2, 3]),
        category=np.array([0, 0, 1, 0, 2, 2]),
        behavior=np.array([4, 6, 4, 4, 4, 0]),
        interval=np.array([10, 20, 30, 40, 50, 60]),
        dwell=np.array([25, 25, 30, 40, 45, 60]),
    )
    assert figures["item runs that return, share"] == pytest.approx(1 / 5)
    assert figures["sessions whose target is in the history, share"] == pytest.approx(1 / 2)
    assert figures["returns after one other run, share"] == 1
    assert figures["events per item run, mean"] == pytest.approx(6 / 5)
    assert figures["run in the category of the run before, share"] == pytest.approx(1 / 3)
    assert figures["5 SearchList2Product, share"] == pytest.approx(4 / 6)
    assert figures["entry behavior as in the run before, share"] == pytest.approx(2 / 3)
    assert figures["median dwell of runs with details, s"] == 25
    assert figures["item runs per session, p10"] == 2


def test_runs_start_with_an_entry_and_dwell_fits_the_intervals(like_samples):
    log = like_samples
    assert log.behavior[log.run_first].max() < 5
    run = np.cumsum(np.bincount(log.run_first, minlength=len(log.item))) - 1
    np.testing.assert_array_equal(log.dwell, log.dwell[log.run_first][run])  # shared by the events of a run
    total = np.add.reduceat(log.interval, log.run_first)
    assert np.all(log.dwell[log.run_first] <= np.maximum(total, 1))
    assert log.interval.min() >= 0


def test_item_popularity_is_zipf_like(like_samples):
    counts = np.sort(np.bincount(like_samples.run_item))[::-1]
    top = counts[10:300]
    slope = np.polyfit(np.log(np.arange(11, 301)), np.log(top), 1)[0]
    assert -1.3 < slope < -0.4


def test_next_item_shares_the_hidden_style(like_samples):
    log = like_samples
    now, following = log.run_item[:-1][log.run_follows], log.run_item[1:][log.run_follows]
    style, leaf = log.shop.style, log.shop.leaf
    same_leaf = leaf[now] == leaf[following]
    observed = np.mean(style[now] == style[following])
    # Were only the category followed, a style would come up by its share in the category's runs.
    style_runs = np.bincount(style[following], minlength=len(log.shop.style_size))
    leaf_runs = np.bincount(leaf[following], minlength=len(log.shop.leaf_share))
    by_category = np.mean(same_leaf * style_runs[style[now]] / leaf_runs[leaf[now]])
    assert observed > 2 * by_category


def test_successors_and_related_categories_are_followed(like_samples):
    log = like_samples
    now, following = log.run_item[:-1][log.run_follows], log.run_item[1:][log.run_follows]
    assert np.mean(log.shop.successor[now] == following) > 0.05
    leaf_now, leaf_next = log.shop.leaf[now], log.shop.leaf[following]
    left = leaf_now != leaf_next
    related = (log.shop.related[leaf_now[left]] == leaf_next[left][:, None]).any(1)
    assert related.mean() > 0.25  # against 4 in 105 by chance


def returned_later(log, runs):
    """Whether each of these runs' items comes again among the next ten runs of its session."""
    later = runs[:, None] + np.arange(1, 11)
    inside = later < len(log.run_item)
    later = np.minimum(later, len(log.run_item) - 1)
    same = (log.run_item[later] == log.run_item[runs][:, None]) & (
        log.run_session[later] == log.run_session[runs][:, None]
    )
    return (same & inside).any(1)


def test_cart_and_dwell_foretell_returns_and_orders_end_them(like_samples):
    log = like_samples
    carted = np.logical_or.reduceat(log.behavior == 8, log.run_first)
    ordered = np.logical_or.reduceat(log.behavior == 9, log.run_first)
    dwell = log.dwell[log.run_first]
    plain = ~carted & ~ordered
    share = {
        name: returned_later(log, np.flatnonzero(chosen)).mean()
        for name, chosen in {
            "plain": plain,
            "cart": carted & ~ordered,
            "order": ordered,
            "long": plain & (dwell > 100),
            "short": plain & (dwell < 10),
        }.items()
    }
    assert share["cart"] > 1.2 * share["plain"]
    assert share["long"] > 1.1 * share["short"]
    assert share["order"] < 0.8 * share["plain"]


def test_users_have_interests_that_drift(like_samples):
    config = replace(LIKE_SAMPLES, sessions=4 * CHUNK_SESSIONS, mean_events=4, sessions_per_user=40, drift_days=5)
    config = replace(config, sessions_per_day=400)
    log = Log(config)
    first_leaf = log.shop.leaf[log.item[log.offsets[:-1]]]
    order = np.lexsort((log.start_ms, log.user))
    user, leaf, start = log.user[order], first_leaf[order], log.start_ms[order]
    same_user = user[1:] == user[:-1]
    same_leaf = leaf[1:] == leaf[:-1]
    soon = np.diff(start) < 86_400_000
    by_chance = np.sum((np.bincount(leaf) / len(leaf)) ** 2)
    assert same_leaf[same_user & soon].mean() > 3 * by_chance
    assert same_leaf[same_user & soon].mean() > same_leaf[same_user & ~soon].mean() + 0.05


def test_sessions_are_in_time_order(small):
    assert np.all(np.diff(small.start_ms) >= 0)
    np.testing.assert_array_equal(small.event_ms[small.offsets[:-1]], small.start_ms)
    inside = small.session[1:] == small.session[:-1]
    steps = np.diff(small.event_ms)[inside]
    np.testing.assert_array_equal(steps, 1000 * small.interval[:-1][inside])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessions": 0}, "sessions is 0"),
        ({"items": 3}, "items is 3"),
        ({"levels": 0}, "levels is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"categories": 500}, "half of the items"),
        ({"mean_events": float("nan")}, "mean_events is nan"),
        ({"mean_events": 2}, "mean_events is 2"),
        ({"sessions": 1.5}, "whole number"),
        ({"excursions": 2}, "excursions is 2"),
        ({"drift_days": 0}, "drift_days is 0"),
    ],
)
def test_values_out_of_range_are_named(change, message):
    with pytest.raises(HupError, match=message):
        replace(SMALL, **change)
