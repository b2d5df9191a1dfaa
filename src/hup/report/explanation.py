"""What several models make of one session (Figure 5): attention beside the events, ranks of what came next, lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hup.data.taxonomy import NO_CATEGORY, extended_path
from hup.errors import HupError
from hup.recommender.attention import HasAttention
from hup.recommender.base import Recommender
from hup.recommender.candidates import Scores, excluded_code, has_no_category, target_ranks
from hup.recommender.recommendations import Recommendation, own_candidates, rank
from hup.recommender.vocabulary import Seen, SessionReader
from hup.report.case import Case
from hup.sessions.batches import Histories
from hup.sessions.levels import ITEM, Level, ranked_levels

SHOWN = 5  # recommendations of every model


@dataclass(frozen=True)
class EventRow:
    """An event as it is shown; seconds are None where the log does not say."""

    path: tuple[str, ...]
    item: str
    behavior: str
    dwell: float | None
    interval: float | None
    is_target: bool


@dataclass(frozen=True)
class Weight:
    """Attention on the events ``first`` … ``last`` (counted from 0)."""

    first: int
    last: int
    value: float


@dataclass(frozen=True)
class HeatColumn:
    """Attention of one level of one model; the weights cover the history and sum to 1."""

    weights: tuple[Weight, ...]
    trained: bool


@dataclass(frozen=True)
class Rank:
    """Place of what came next among ``candidates``; None where it was no candidate, or does not count."""

    rank: int | None
    candidates: int
    reason: str = ""


@dataclass(frozen=True)
class ModelView:
    """What one model makes of the session.

    Attributes
    ----------
    name : str
    columns : dict of str to HeatColumn
        By level: ``"micro"``, ``"item"``, ``"category_k"``; empty for models without attention.
    ranks : dict of str to Rank
        By level: ``"item"``, ``"category_K"`` …, the latter where the session has any category.
    top : dict of str to tuple of Recommendation
        The best of ``"item"`` and of the shown category level.
    """

    name: str
    columns: dict[str, HeatColumn]
    ranks: dict[str, Rank]
    top: dict[str, tuple[Recommendation, ...]]


@dataclass(frozen=True)
class Explanation:
    """A case study.

    Attributes
    ----------
    source : str
    events : tuple of EventRow
        The whole session; the ground truth last.
    category_level : str
        The category level whose attention and lists are shown.
    models : tuple of ModelView
    note : str
        What a reader must know about the case; may be empty.
    """

    source: str
    events: tuple[EventRow, ...]
    category_level: str
    models: tuple[ModelView, ...]
    note: str = ""

    @property
    def cut(self) -> int:
        """Number of events before the ground truth."""
        return sum(not event.is_target for event in self.events)

    @property
    def shown_levels(self) -> tuple[str, ...]:
        """Levels of attention that at least one model has, bottom first."""
        levels = ("micro", *self.listed_levels)
        return tuple(level for level in levels if any(level in model.columns for model in self.models))

    @property
    def listed_levels(self) -> tuple[str, ...]:
        """Levels whose lists are shown: items, and categories where the session has any."""
        return tuple(level for level in ("item", self.category_level) if level in self.models[0].top)


def explain(models: Sequence[Recommender], case: Case, *, level: str | None = None) -> Explanation:
    """Show one session to several models.

    Ranks follow the protocol of the evaluation: ties count against a model, the item that the user is on is no
    candidate for the item level, "no category" is none for category levels.

    Parameters
    ----------
    models : sequence of Recommender
        With equally many category levels; their names must differ.
    case : Case
    level : str, optional
        Category level to show attention and lists of; default the finest.

    Raises
    ------
    HupError
        If no model is given, two have the same name, they have other levels than each other, or none is ``level``.
    """
    if not models:
        raise HupError("No model is given, expected at least one.")
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HupError(f"Two models are called {twice[0]!r}; give them other names.")
    depths = {model.name: model.vocabulary.levels for model in models}
    if len(set(depths.values())) > 1:
        told = ", ".join(f"{name} has {depth}" for name, depth in depths.items())
        raise HupError(f"These models cannot stand side by side, as their numbers of category levels differ: {told}.")
    depth = models[0].vocabulary.levels
    categories = ranked_levels(depth)[:0:-1]
    level = categories[-1] if level is None else level
    if level not in categories:
        raise HupError(f"There is no category level {level!r} here; there is {', '.join(categories)}.")
    rows = _rows(models[0], case)
    has_categories = any(row.path[0] != NO_CATEGORY for row in rows)
    views = tuple(_view(model, case, level if has_categories else None) for model in models)
    note = "Models of this dataset have learned from this session: its ranks say nothing." if case.is_training else ""
    return Explanation(case.source, rows, level, views, note)


def with_distinct_names(models: Sequence[Recommender], folders: Sequence[Path]) -> list[Recommender]:
    """Add the folder to the names of models that are called alike.

    Parameters
    ----------
    models : sequence of Recommender
        Their names are changed in place.
    folders : sequence of Path
        Where each is from.
    """
    names = [model.name for model in models]
    for model, folder in zip(models, folders, strict=True):
        if names.count(model.name) > 1:
            model.name = f"{model.name} ({folder})"
    return list(models)


def _rows(model: Recommender, case: Case) -> tuple[EventRow, ...]:
    vocabulary = model.vocabulary
    seen = SessionReader(vocabulary).items(case.events)
    titles = {behavior.code: behavior.name for behavior in vocabulary.behaviors}
    intervals = _intervals(case)
    rows = []
    for number, event in enumerate(case.events):
        # The dwell belongs to the run; it is told once, at the run's first event.
        begins = number == 0 or case.events[number - 1].item != event.item
        is_open = number >= case.cut
        rows.append(
            EventRow(
                path=seen[event.item].names or extended_path(event.categories, vocabulary.levels),
                item=event.item,
                behavior=titles.get(event.behavior, event.behavior),
                dwell=_dwell(case, number, intervals) if begins else None,
                interval=None if number == len(case.events) - 1 else intervals[number],
                is_target=is_open,
            )
        )
    return tuple(rows)


def _intervals(case: Case) -> list[float | None]:
    """Seconds to the next event, as logged or by timestamps; None = not known."""
    intervals: list[float | None] = []
    for number, event in enumerate(case.events):
        following = case.events[number + 1].timestamp if number + 1 < len(case.events) else None
        value = event.interval
        if value is None and event.timestamp is not None and following is not None:
            value = following - event.timestamp
        intervals.append(value)
    return intervals


def _dwell(case: Case, start: int, intervals: list[float | None]) -> float | None:
    """Seconds on the item run that begins at ``start``: as logged, else the sum of its intervals."""
    events = case.events
    end = next((n for n in range(start, len(events)) if events[n].item != events[start].item), len(events))
    if (logged := events[end - 1].dwell) is not None:
        return logged
    parts = [value for value in intervals[start:end] if value is not None]
    return sum(parts) if len(parts) == end - start else None


def _view(model: Recommender, case: Case, shown: str | None) -> ModelView:
    """Show the session to a model; ``shown`` is the category level of the lists, None = there are no categories."""
    reader = SessionReader(model.vocabulary)
    histories = reader.histories([case.history])
    if case.fingerprint is not None and case.fingerprint == model.dataset_fingerprint:
        assert case.user is not None
        assert case.index is not None
        # What the evaluation tells a model besides the events: some keep states of users.
        histories = replace(histories, user=torch.tensor([case.user]), index=torch.tensor([case.index]))
    # Unknown codes follow first appearance, so those of the whole session go on from those of its history.
    target, items = reader.items(case.events)[case.events[-1].item], reader.items(case.history)
    ranks: dict[str, Rank] = {}
    top: dict[str, tuple[Recommendation, ...]] = {}
    with torch.no_grad():
        answer = model.scores(histories)
    for level in model.levels if shown is not None else (ITEM,):
        with torch.no_grad():
            scores = answer[level]
        excluded = excluded_code(model.vocabulary, items, case.history[-1].item, level)
        ranks[level] = _rank(model, scores, level, target, excluded)
        if level in ("item", shown):
            top[level] = _best(model, case, items, scores, level)
    return ModelView(model.name, _columns(model, histories), ranks, top)


def _rank(model: Recommender, scores: Scores, level: str, target: Seen, excluded: int) -> Rank:
    n_known = scores.known.shape[1]
    own = [code for code in scores.own_codes[0].tolist() if code >= 0]
    candidates = n_known + len(own) - int(0 <= excluded < n_known or excluded in own)
    if has_no_category(target, level):
        return Rank(None, candidates, "the item has no category")
    code = Level(level).pick(target.code, target.path)
    rank_of_target = target_ranks(scores, torch.tensor([code]), excluded=torch.tensor([excluded]), name=model.name)[0]
    if math.isinf(rank_of_target):
        return Rank(None, candidates, "no candidate: neither training nor the session has it")
    return Rank(int(rank_of_target), candidates)


def _best(
    model: Recommender, case: Case, items: dict[str, Seen], scores: Scores, level: str
) -> tuple[Recommendation, ...]:
    own = own_candidates(model.vocabulary, items, level)
    by_code = dict(zip(scores.own_codes[0].tolist(), scores.own[0].tolist(), strict=True))
    own_scores = scores.known.new_tensor([by_code[candidate.code] for candidate in own])
    current = case.history[-1].item
    return rank(model.vocabulary, items, current, level, scores.known[0], own_scores, own, SHOWN)


def _columns(model: Recommender, histories: Histories) -> dict[str, HeatColumn]:
    if not isinstance(model, HasAttention):
        return {}
    columns = {}
    for column in model.attention(histories):
        spans = zip(column.first.tolist(), column.last.tolist(), column.weights.tolist(), strict=True)
        columns[column.level] = HeatColumn(tuple(Weight(*span) for span in sorted(spans)), column.trained)
    return columns
