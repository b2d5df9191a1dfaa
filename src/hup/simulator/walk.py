"""The walk through the shop: which item each session looks at, run by run, all sessions of a chunk side by side.

A run's *interest* is hidden.  It grows with the fit of the item's style to the style that the session wants; it drives
the run's behaviors and dwell (which the log shows) and what comes next: returns, similar items, or another category.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hup.simulator.catalogue import RELATED, Catalogue
from hup.simulator.config import MIN_EVENTS_SHARE, SimulatorConfig
from hup.simulator.draws import zipf_rank
from hup.simulator.patterns import PatternBank
from hup.simulator.users import Arrivals, preferred_style

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MEMORY = 64  # runs back that a user may return to
_LAG_EXPONENT = 0.8
_LAG_2_BOOST = 1.1  # "A, B, back to A" is more frequent than the power law says
_FROM_CART = 3  # entry behavior Cart2Product
_ENTRY_SHARES = np.cumsum([0.017, 0.09, 0.007, 0.095, 0.791])
_ENTRY_SWITCH = 0.25
_TO_CART_AFTER_CARTING = 0.08
_CART_LIST_PULL = 10.0
_LEAVES_AFTER_ORDER = 0.5
_RETURN_SPREAD = 0.8
_OVERSHOOT = 0.4  # events by which the closing run passes the aim, on average


@dataclass(frozen=True)
class WalkedRuns:
    """Item runs of a chunk, session by session.  Arrays of one element a run, but for ``offsets``.

    Attributes
    ----------
    offsets : (S + 1,) int64
        First run of each session.
    item, pattern : (R,) int64
    interest : (R,) float32
        Hidden interest, about standard normal.
    """

    offsets: Ints
    item: Ints
    pattern: Ints
    interest: Floats


@dataclass
class _Live:
    """The sessions still going on; arrays of shape (n,) or (64, n)."""

    session: Ints
    item: Ints
    interest: Floats
    entry: Ints
    leaf: Ints
    main_leaf: Ints
    style: Ints
    wanted_style: Ints
    user: Ints
    events: Ints
    aim: Ints
    pull: Floats
    roaming: Floats
    done: Bools
    seen_item: Ints
    seen_interest: Floats
    seen_pull: Floats

    def keep(self, chosen: Bools) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[..., chosen])


def walk(
    rng: np.random.Generator, config: SimulatorConfig, shop: Catalogue, bank: PatternBank, arrivals: Arrivals
) -> WalkedRuns:
    """Draw all item runs of the sessions of a chunk."""
    walker = _Walker(rng, config, shop, bank)
    live = walker.begin(arrivals)
    steps: list[tuple[Ints, Ints, Ints, Floats]] = []
    while len(live.session):
        pattern = walker.step(live, len(steps))
        going = ~live.done
        steps.append((live.session[going], live.item[going], pattern[going], live.interest[going]))
        live.done |= live.events >= live.aim
        if len(steps) == 1:
            live.done[:] = False  # a session has at least two runs, or nothing could be foretold
        if live.done.mean() > 0.1:
            live.keep(~live.done)
    return _by_session(steps, len(arrivals.user))


def _by_session(steps: list[tuple[Ints, Ints, Ints, Floats]], sessions: int) -> WalkedRuns:
    """Bring the runs from step order into session order."""
    counts = np.zeros(sessions, np.int64)
    for session, *_ in steps:
        counts[session] += 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    runs = WalkedRuns(
        offsets,
        np.empty(offsets[-1], np.int64),
        np.empty(offsets[-1], np.int64),
        np.empty(offsets[-1], np.float32),
    )
    for number, (session, item, pattern, interest) in enumerate(steps):
        place = offsets[session] + number
        runs.item[place] = item
        runs.pattern[place] = pattern
        runs.interest[place] = interest
    return runs


class _Walker:
    """One step of all live sessions at a time."""

    def __init__(self, rng: np.random.Generator, config: SimulatorConfig, shop: Catalogue, bank: PatternBank) -> None:
        self.rng, self.config, self.shop, self.bank = rng, config, shop, bank
        lags = np.arange(_MEMORY, dtype=np.float64)
        lags[:2] = 1.0
        kernel = lags**-_LAG_EXPONENT
        kernel[2] *= _LAG_2_BOOST
        kernel[:2] = 0.0  # lag 1 is the present item
        self.kernel = kernel.astype(np.float32)

    def begin(self, arrivals: Arrivals) -> _Live:
        rng, config, n = self.rng, self.config, len(arrivals.user)
        shortest = round(config.mean_events * MIN_EVENTS_SHARE)
        spread = max(config.mean_events - shortest - _OVERSHOOT + 0.5, 0.1)
        start = self.shop.style_start[arrivals.style]
        rank = zipf_rank(rng.random(n), self.shop.style_size[arrivals.style], self.config.popularity_exponent)
        return _Live(
            session=np.arange(n),
            item=start + rank,
            interest=np.zeros(n, np.float32),
            entry=self._draw_entry(rng.random(n)),
            leaf=arrivals.leaf.copy(),
            main_leaf=arrivals.leaf.copy(),
            style=arrivals.style.copy(),
            wanted_style=arrivals.style.copy(),
            user=arrivals.user,
            events=np.zeros(n, np.int64),
            aim=shortest + rng.exponential(spread, n).astype(np.int64),
            pull=config.return_strength * np.exp(_RETURN_SPREAD * rng.standard_normal(n, np.float32)),
            # Many sessions hardly leave their category; the mean of 3 u^2 is 1.
            roaming=(config.excursions * 3.0 * rng.random(n, np.float32) ** 2).astype(np.float32),
            done=np.zeros(n, bool),
            seen_item=np.zeros((_MEMORY, n), np.int64),
            seen_interest=np.zeros((_MEMORY, n), np.float32),
            seen_pull=np.zeros((_MEMORY, n), np.float32),
        )

    def step(self, live: _Live, number: int) -> Ints:
        """Move every session to its next run and return the runs' patterns."""
        n = len(live.session)
        interest_before = np.zeros(n, np.float32)
        returns = np.zeros(n, bool)
        if number:
            self._change_entry(live)
            returns, slot = self._choose_returns(live, number)
            back = np.flatnonzero(returns)
            interest_before[back] = live.seen_interest[slot[back], back]
            self._look_for_new(live, np.flatnonzero(~returns))
            self._go_back(live, back, slot[back])
        self._feel(live, returns, interest_before)
        pattern = self.bank.pick(live.entry, live.interest, self.rng.random(n, np.float32))
        self._remember(live, number, pattern)
        return pattern

    def _draw_entry(self, uniform: NDArray[np.floating]) -> Ints:
        return np.minimum(np.searchsorted(_ENTRY_SHARES, uniform), len(_ENTRY_SHARES) - 1)

    def _change_entry(self, live: _Live) -> None:
        chance = self.rng.random(len(live.session), np.float32)
        changes = np.flatnonzero(chance < _ENTRY_SWITCH)
        live.entry[changes] = self._draw_entry(chance[changes] / _ENTRY_SWITCH)

    def _choose_returns(self, live: _Live, number: int) -> tuple[Bools, Ints]:
        """Weigh the items seen against a new one; return who goes back, and to which slot of the memory."""
        known = min(number, _MEMORY - 1)
        lags = np.arange(1, known + 1)
        kernel = np.zeros(_MEMORY, np.float32)
        kernel[(number - lags) % _MEMORY] = self.kernel[lags]
        kernel = kernel[: min(number, _MEMORY), None]
        reach = np.cumsum(live.seen_pull[: len(kernel)] * kernel, axis=0)
        pull = live.pull * np.where(live.entry == _FROM_CART, np.float32(_CART_LIST_PULL), np.float32(1.0))
        closing = live.events >= live.aim - 1
        pull[closing] *= self.config.closing_return
        total = reach[-1]
        # A new item has pull 1: the point drawn falls on a seen item or beyond them all.
        point = self.rng.random(len(pull), np.float32) * (total + 1.0 / np.maximum(pull, 1e-9))
        slot = (reach <= point).sum(0)
        returns = slot < len(kernel)
        slot = np.minimum(slot, len(kernel) - 1)
        returns &= live.seen_item[slot, np.arange(len(slot))] != live.item
        return returns, slot

    def _go_back(self, live: _Live, who: Ints, slot: Ints) -> None:
        item = live.seen_item[slot, who]
        live.item[who] = item
        live.style[who] = self.shop.style[item]
        live.leaf[who] = self.shop.leaf[item]

    def _look_for_new(self, live: _Live, who: Ints) -> None:
        moved = self._change_leaf(live, who)
        self._change_style(live, who[~moved])
        style, item = live.style[who], live.item[who]
        size, start = self.shop.style_size[style], self.shop.style_start[style]
        chance = self.rng.random((2, len(who)))
        fresh = start + zipf_rank(chance[0], size, self.config.popularity_exponent)
        follows = (self.shop.style[item] == style) & (chance[1] < self.config.follow_successor)
        fresh = np.where(follows, self.shop.successor[item], fresh)
        # Never the present item: the next of the style, or of the shop if the style has no other.
        same = fresh == item
        alone = size == 1
        fresh = np.where(same & ~alone, start + (item - start + 1) % size, fresh)
        fresh = np.where(same & alone, (item + 1) % self.shop.items, fresh)
        live.item[who] = fresh
        live.style[who] = self.shop.style[fresh]
        live.leaf[who] = self.shop.leaf[fresh]

    def _change_leaf(self, live: _Live, who: Ints) -> Bools:
        """Roam to a related category, or home to the main one; little interest drives away."""
        chance = self.rng.random((2, len(who)), np.float32)
        leaf, main = live.leaf[who], live.main_leaf[who]
        away = leaf != main
        home = away & (chance[0] < 0.3)
        leaving = live.roaming[who] * np.exp(-0.4 * live.interest[who])
        roams = ~home & (chance[0] > 1.0 - np.minimum(leaving, 0.6))
        # The first related categories come more often: 1/2, 1/4, ... by the square of a uniform draw.
        related = self.shop.related[leaf, (chance[1] ** 2 * RELATED).astype(np.int64)]
        target = np.where(home, main, np.where(roams, related, leaf))
        moved: Bools = target != leaf
        changed = who[moved]
        live.leaf[changed] = target[moved]
        at_home = live.leaf[changed] == live.main_leaf[changed]
        preferred = preferred_style(self.config, self.shop, live.user[changed], live.leaf[changed])
        live.style[changed] = np.where(at_home, live.wanted_style[changed], preferred)
        return moved

    def _change_style(self, live: _Live, who: Ints) -> None:
        """Stay with the style, drift to the next one, or back to the wanted one; interest keeps one there."""
        chance = self.rng.random(len(who), np.float32)
        leaf, style = live.leaf[who], live.style[who]
        first, count = self.shop.leaf_first_style[leaf], self.shop.leaf_styles[leaf]
        leaving = 0.2 / (1.0 + np.exp(1.2 * live.interest[who]))
        drifts = chance < leaving
        jumps = ~drifts & (chance > 0.96)
        style = np.where(drifts, first + (style - first + 1) % count, style)
        leap = first + ((chance - 0.96) / 0.04 * count).astype(np.int64)
        style = np.where(jumps, np.clip(leap, first, first + count - 1), style)
        live.style[who] = style

    def _feel(self, live: _Live, returns: Bools, before: Floats) -> None:
        """Draw the interest in the run's item: fit to the wanted style, what was felt before, and chance."""
        fits = live.style == live.wanted_style
        noise = self.rng.standard_normal(len(fits), np.float32)
        fresh = np.where(fits, np.float32(0.25), np.float32(-0.35)) + np.float32(0.95) * noise
        again = np.float32(0.15) + np.float32(0.5) * before + np.float32(0.8) * noise
        live.interest = np.where(returns, again, fresh).astype(np.float32)

    def _remember(self, live: _Live, number: int, pattern: Ints) -> None:
        carted, ordered = self.bank.carted[pattern], self.bank.ordered[pattern]
        slot = number % _MEMORY
        live.events += self.bank.length[pattern]
        live.seen_item[slot] = live.item
        live.seen_interest[slot] = live.interest
        pull = np.exp(np.float32(0.6) * live.interest - np.float32(0.18))
        live.seen_pull[slot] = np.where(carted, np.float32(2.0) * pull, pull)
        to_cart = carted & (self.rng.random(len(carted), np.float32) < _TO_CART_AFTER_CARTING)
        live.entry[to_cart] = _FROM_CART
        # A strong interest in another style of the main category becomes what the session wants.
        won = (live.interest > 1.5) & (live.leaf == live.main_leaf)
        live.wanted_style = np.where(won, live.style, live.wanted_style)
        self._turn_elsewhere(live, np.flatnonzero(ordered))

    def _turn_elsewhere(self, live: _Live, buyers: Ints) -> None:
        """After an order what was seen cools down, and the session wants a category that goes with the main one."""
        live.seen_pull[:, buyers] *= np.float32(self.config.order_cooling)
        leaf = self.shop.related[live.main_leaf[buyers], RELATED - 1].astype(np.int64)
        live.main_leaf[buyers] = leaf
        live.wanted_style[buyers] = preferred_style(self.config, self.shop, live.user[buyers], leaf)
        at_once = self.rng.random(len(buyers)) < _LEAVES_AFTER_ORDER
        leavers = buyers[at_once]
        live.leaf[leavers] = live.main_leaf[leavers]
        live.style[leavers] = live.wanted_style[leavers]
