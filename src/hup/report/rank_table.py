"""Where each model of a case study ranks what came next."""

from __future__ import annotations

from hup.report.explanation import Explanation, Rank
from hup.report.table import Cell, Group, Table
from hup.report.wording import level_title, ordinal
from hup.sessions.levels import Level


def rank_table(explanation: Explanation) -> Table:
    """Rank of the ground truth, for every model and level."""
    levels = list(explanation.models[0].ranks)
    depth = len(explanation.events[-1].path)
    head = ((Cell("model"), *(Cell(level_title(level, depth), _name(explanation, level)) for level in levels)),)
    rows = tuple((Cell(model.name), *(_rank(model.ranks[level]) for level in levels)) for model in explanation.models)
    note = "As in the evaluation, ties count against a model, and the item that the user is on is no candidate."
    return Table("Rank of the ground truth", head, (Group("", rows),), note)


def _name(explanation: Explanation, level: str) -> str:
    truth = explanation.events[-1]
    level = Level(level)
    return " › ".join(truth.path[: level.k]) if level.is_category else truth.item  # noqa: RUF001 (an arrow)


def _rank(rank: Rank) -> Cell:
    if rank.rank is None:
        return Cell("no rank", rank.reason)
    return Cell(ordinal(rank.rank), f"of {rank.candidates:,}")
