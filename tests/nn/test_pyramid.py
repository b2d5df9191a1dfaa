"""The pyramid (Eq. 1-5) against a slow reference that walks one history run by run, and its invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from hup.config import Config
from hup.models.hup.ablations import ABLATIONS
from hup.nn.pyramid import Pyramid
from hup.sessions.batches import Histories
from hup.sessions.levels import Buckets, pyramid_steps

BUCKETS = Buckets(interval=(1, 15, 39, 90), dwell=(14, 39, 96, 599))
PATHS = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [1, 2, 3]])
ANCESTORS = [
    torch.zeros(2, 0, dtype=torch.long),
    torch.tensor([[0], [0], [1]]),
    torch.tensor([[0, 0], [0, 0], [0, 1], [1, 2]]),
]
OVERRIDES = ["network.hidden=6", "network.attention_hidden=4", "embeddings.item=4", "embeddings.category=3"]


def network(preset: str = "paper", levels: int = 3, *overrides: str) -> Pyramid:
    torch.manual_seed(0)
    config = Config.preset(preset, [*OVERRIDES, *overrides])
    made = Pyramid(PATHS[:, :levels], ANCESTORS[:levels], 4, 6, 6, config).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter.data, std=0.6)
    return made


def random_histories(seed: int, batch: int, levels: int = 3, n_items: int = 6, mask: bool = True) -> Histories:
    rng = np.random.default_rng(seed)
    parts: dict[str, list] = {"item": [], "behavior": [], "interval": [], "dwell": []}
    lengths = []
    for _ in range(batch):
        n_runs = rng.integers(1, 6)
        length = 0
        previous = -1
        for run in range(n_runs):
            item = rng.choice([i for i in range(n_items) if i != previous])
            previous = item
            events = rng.integers(1, 4)
            last = mask and run == n_runs - 1
            parts["item"] += [item] * events
            parts["behavior"] += rng.integers(0, 4, events).tolist()
            parts["interval"] += [*rng.integers(0, 120, events - 1), np.nan if last else rng.integers(0, 120)]
            parts["dwell"] += [np.nan if last else rng.integers(0, 700)] * events
            length += events
        lengths.append(length)
    item = torch.tensor(parts["item"])
    return Histories(
        offsets=torch.tensor([0, *np.cumsum(lengths)]),
        item=item,
        categories=PATHS[item.clamp(max=5)][:, :levels],
        behavior=torch.tensor(parts["behavior"]),
        interval=torch.tensor(parts["interval"], dtype=torch.float32),
        dwell=torch.tensor(parts["dwell"], dtype=torch.float32),
    )


def rows(histories: Histories, chosen: list[int]) -> Histories:
    """Some of the histories as a batch of their own."""
    spans = [range(int(histories.offsets[b]), int(histories.offsets[b + 1])) for b in chosen]
    at = torch.tensor(list(itertools.chain(*spans)))
    offsets = torch.tensor([0, *np.cumsum([len(span) for span in spans])])
    parts = (histories.item, histories.categories, histories.behavior, histories.interval, histories.dwell)
    return Histories(offsets, *(part[at] for part in parts))


def bucket(seconds: float, edges: tuple[float, ...]) -> int:
    return 0 if np.isnan(seconds) else 1 + sum(seconds > edge for edge in edges)


def walk(net: Pyramid, histories: Histories) -> dict[str, Tensor]:
    """Profiles of one history: run by run, level by level, with the padded layer one step at a time."""
    assert len(histories) == 1
    item, depth = histories.item.tolist(), histories.levels
    interval, dwell = histories.interval.tolist(), histories.dwell.tolist()
    states = dict.fromkeys(net.level_names)
    outputs = {name: ([], []) for name in net.level_names}  # outputs, signals

    def step(name, x, seconds, signal):
        layer = net.levels[name].rnn
        interval_vector = net.inputs[name].interval(torch.tensor([[bucket(seconds, BUCKETS.interval)]]))
        out, states[name] = layer(
            x.view(1, 1, -1),
            interval_vector if layer.interval_size else None,
            signal.view(1, 1, -1) if layer.behavior_size else None,
            None,
            states[name],
        )
        outputs[name][0].append(out[0, 0])
        outputs[name][1].append(signal)
        return out[0, 0]

    def dwell_vector(name, seconds):
        return net.inputs[name].dwell(torch.tensor(bucket(seconds, BUCKETS.dwell)))

    def micro_step(name, e):
        tables, path = net.inputs[name], histories.categories[e]
        behavior = tables.behavior.weight[histories.behavior[e]]
        parts = [tables.items(histories.item[e], path)]
        parts += [tables.categories[k](path[k], path[:k]) for k in range(depth)]
        if tables.micro_signals:
            seen = tables.interval(torch.tensor(bucket(interval[e], BUCKETS.interval)))
            parts += [behavior, dwell_vector(name, dwell[e]), seen]
        return step(name, torch.cat(parts), interval[e], behavior)

    dwell_of_run = dict.fromkeys(range(1, depth + 1), 0.0)
    item_runs = [list(group) for _, group in itertools.groupby(range(len(item)), key=lambda i: item[i])]
    for number, run in enumerate(item_runs):
        y = torch.zeros(0, dtype=torch.float64)
        for e in run:
            for name, layout in zip(net.level_names, net.layout, strict=True):
                if layout == 0:
                    y = micro_step(name, e)
        if 1 not in net.layout:
            continue  # every level has read the events
        e = run[-1]
        path = histories.categories[e]
        x = torch.cat([net.inputs["item"].items(histories.item[e], path), y])
        y = step("item", x, interval[e], dwell_vector("item", dwell[e]))
        following = histories.categories[item_runs[number + 1][0]] if number + 1 < len(item_runs) else None
        for k in range(depth, 0, -1):
            dwell_of_run[k] += dwell[e]
            if following is not None and bool((following[:k] == path[:k]).all()):
                # The run of this level, and so of all above, goes on; the state of no coarser level moves.
                for coarser in range(k - 1, 0, -1):
                    dwell_of_run[coarser] += dwell[e]
                break
            name = f"category_{k}"
            x = torch.cat([net.inputs[name].categories[k - 1](path[k - 1], path[: k - 1]), y])
            y = step(name, x, interval[e], dwell_vector(name, dwell_of_run[k]))
            dwell_of_run[k] = 0.0
    profiles = {}
    for name, (ys, signals) in outputs.items():
        level = net.levels[name]
        n, y = len(ys), torch.stack(ys)
        context = y[-1:]
        if level.attention is not None:
            signal = torch.stack(signals) if level.attention.signal is not None else None
            context, _ = level.attention(y, signal, y[-1:], torch.arange(n), torch.zeros(n, dtype=torch.long))
        vector = level.head(context)
        profiles[name] = torch.tanh(vector) if level.tanh else vector
    return profiles


VARIANTS = {
    "paper": (),
    "authors": (),
    **ABLATIONS,
    "nomicro, noatt": ("network.micro=false", "network.attention=false"),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("mask", [True, False])
def test_profiles_equal_a_walk_run_by_run(variant, levels, mask):
    net = network("authors" if variant == "authors" else "paper", levels, *VARIANTS[variant])
    histories = random_histories(levels, 6, levels, mask=mask)
    profiles = net(histories, pyramid_steps(histories, BUCKETS))
    named = ["micro", "item", *(f"category_{k}" for k in range(levels, 0, -1))]
    assert list(profiles) == (named[1:] if "nomicro" in variant or variant == "single" else named)
    for b in range(len(histories)):
        expected = walk(net, rows(histories, [b]))
        for name, profile in profiles.items():
            torch.testing.assert_close(profile.vector[b], expected[name][0], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("variant", [None, *ABLATIONS])
def test_levels_above_the_wanted_ones_are_left_out(variant):
    net = network("paper", 3, *(ABLATIONS[variant] if variant else ()))
    histories = random_histories(0, 5)
    steps = pyramid_steps(histories, BUCKETS)
    whole = net(histories, steps)
    for name in net.level_names:
        alone = net(histories, steps, [name])
        assert list(alone) == [name]
        torch.testing.assert_close(alone[name].vector, whole[name].vector)
        assert len(net.fold(histories, steps, [name])) == net.level_names.index(name) + 1


def test_batch_order_and_company_change_nothing():
    net = network()
    histories = random_histories(5, 9)
    order = [4, 0, 8, 2, 6, 1, 7, 3, 5]
    whole = net(histories, pyramid_steps(histories, BUCKETS))
    other = rows(histories, order)
    mixed = net(other, pyramid_steps(other, BUCKETS))
    for name in whole:
        torch.testing.assert_close(mixed[name].vector, whole[name].vector[order])


def test_a_query_sees_nothing_of_what_comes_after():
    net = network()
    histories = random_histories(6, 6)
    total = int(histories.offsets[-1])
    profiles = net(histories, pyramid_steps(histories, BUCKETS, torch.arange(total)))
    session = histories.session().tolist()
    for at in range(total):
        start = int(histories.offsets[session[at]])
        part = torch.arange(start, at + 1)
        prefix = Histories(
            torch.tensor([0, len(part)]),
            histories.item[part],
            histories.categories[part],
            histories.behavior[part],
            histories.interval[part].clone(),
            histories.dwell[part].clone(),
        )
        prefix.interval[-1] = torch.nan
        run = at
        while run > start and histories.item[run - 1] == histories.item[at]:
            run -= 1
        prefix.dwell[run - start :] = torch.nan
        alone = net(prefix, pyramid_steps(prefix, BUCKETS))
        for name in profiles:
            torch.testing.assert_close(profiles[name].vector[at], alone[name].vector[0])


def test_attention_weights_sum_to_one_over_the_runs_of_the_history():
    net = network()
    histories = random_histories(7, 5)
    for name, profile in net(histories, pyramid_steps(histories, BUCKETS)).items():
        sums = torch.zeros(5, dtype=torch.float64).index_add(0, profile.query, profile.weights)
        torch.testing.assert_close(sums, torch.ones(5, dtype=torch.float64))
        if name == "micro":
            assert torch.bincount(profile.query).tolist() == histories.offsets.diff().tolist()


def test_unknown_items_and_behaviors_give_finite_profiles_and_keep_their_identity():
    net = network()
    histories = random_histories(8, 6, n_items=9)  # codes 6, 7, 8 are not in the tables
    histories.behavior[0] = -1
    profiles = net(histories, pyramid_steps(histories, BUCKETS))
    assert all(bool(profile.vector.isfinite().all()) for profile in profiles.values())
    # Renaming unknown codes changes nothing as long as equal stay equal.
    renamed = rows(histories, list(range(6)))
    renamed.item[histories.item >= 6] += 1000
    again = net(renamed, pyramid_steps(renamed, BUCKETS))
    for name in profiles:
        torch.testing.assert_close(again[name].vector, profiles[name].vector)
    # Merging two different unknown items into one joins their runs, which must show.
    merged = rows(histories, list(range(6)))
    merged.item[histories.item >= 6] = 6
    if len(torch.unique_consecutive(merged.item)) != len(torch.unique_consecutive(histories.item)):
        joined = net(merged, pyramid_steps(merged, BUCKETS))
        assert not torch.allclose(joined["item"].vector, profiles["item"].vector)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_the_wanted_levels_learns(variant):
    net = network("paper", 3, *VARIANTS[variant]).train()
    histories = random_histories(9, 20, mask=False)
    profiles = net(histories, pyramid_steps(histories, BUCKETS))
    sum(profile.vector.square().sum() for profile in profiles.values()).backward()
    targets = {f"item_targets.{name}" for name, _ in net.item_targets.named_parameters()}
    targets |= {f"category_targets.{name}" for name, _ in net.category_targets.named_parameters()}
    for name, parameter in net.named_parameters():
        if name not in targets and not is_idle(net, variant, name):
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().sum()) > 0, name


def is_idle(net: Pyramid, variant: str, name: str) -> bool:
    """Whether nothing can reach a parameter: a number added to all scores, or a table that a variant does not read."""
    if name.endswith("attention.score.bias"):
        return True
    if variant == "lstm":
        return any(name.endswith(f".{table}.weight") for table in ("behavior", "interval", "dwell"))
    if variant == "single":
        return False
    return "nomicro" in variant and ".behavior." in name


@pytest.mark.parametrize(
    "each", [pytest.param(False, id="in a random direction"), pytest.param(True, marks=pytest.mark.slow, id="each")]
)
def test_gradients_of_the_whole_pyramid_equal_finite_differences(each):
    net = network("paper", 2, "network.hidden=3", "embeddings.item=2", "embeddings.category=2")
    histories = random_histories(10, 3, levels=2)
    steps = pyramid_steps(histories, BUCKETS)
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}

    def loss(*weights):
        profiles = torch.func.functional_call(net, dict(zip(named, weights, strict=True)), (histories, steps))
        return sum(profile.vector.square().sum() for profile in profiles.values())

    assert torch.autograd.gradcheck(loss, tuple(named.values()), atol=1e-6, fast_mode=not each)


def test_the_levels_of_the_authors():
    """Attention of two dense layers; at the category levels a time gate, no dwell gate, and no signal."""
    net = network("authors")
    category, item = net.levels["category_1"], net.levels["item"]
    assert (category.rnn.interval_size, category.rnn.behavior_size) == (5, 0)
    assert (item.rnn.interval_size, item.rnn.behavior_size) == (5, 5)
    assert category.attention.signal is None
    assert item.attention.signal is not None
    for level in (item, category):
        assert level.attention.score is not None
        assert level.attention.squash


def test_of_the_authors_tables_those_of_the_items_alone_are_frozen():
    net = network("authors")
    inputs = net.inputs["item"]
    assert inputs.items is net.item_targets
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    targets = {f"category_targets.{level}.weight" for level in range(3)}
    assert frozen == {"item_targets.weight", *targets}
    assert all(own is not target for own, target in zip(inputs.categories, net.category_targets, strict=True))


@pytest.mark.parametrize(("gates", "sizes"), [("true", (5, 5)), ("'time'", (5, 0)), ("false", (0, 0))])
def test_gates_of_the_category_levels(gates, sizes):
    net = network("paper", 3, f"network.category_gates={gates}")
    assert (net.levels["category_3"].rnn.interval_size, net.levels["category_3"].rnn.behavior_size) == sizes
    assert (net.levels["item"].rnn.interval_size, net.levels["item"].rnn.behavior_size) == (5, 5)
