"""What the service answers: ranked lists and profiles, as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hup.errors import HupError
from hup.recommender.recommendations import Recommendation, Recommendations
from hup.serving.catalog import Catalog, InStock
from hup.serving.problems import ServiceError
from hup.serving.record import Record
from hup.serving.served import Asked, Served
from hup.sessions.events import Event
from hup.sessions.levels import ITEM, Level

#: Of each level of a profile, and of an explanation.
TOP: Final = 10

Answer = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked for.

    Attributes
    ----------
    level : str
        A level of the model, or "all".
    k : int
        How many of each level.
    new_only : bool
    within : str
    now : float or None
        As for :meth:`hup.HUP.recommend`.
    """

    level: str = "item"
    k: int = 20
    new_only: bool = False
    within: str = ""
    now: float | None = None


@dataclass(frozen=True)
class Answers:
    """Answers of one model, with what the shop says of its items.

    Attributes
    ----------
    served : Served
    catalog : Catalog
    """

    served: Served
    catalog: Catalog

    # ------------------------------------------------------------------ who is asked for

    def of_user(self, record: Record) -> tuple[Asked, Iterable[str]]:
        """Give what the model is asked with for a user, and the items they have been on, to be read once."""
        seen = (kept.event.item for kept in record.events)
        if not self.served.has_profiles:
            return record.session_events, seen
        state = self.served.opened(record.now.state)
        return self.served.hup.state(None) if state is None else state, seen

    def of_session(self, events: Sequence[Event]) -> tuple[Asked, Iterable[str]]:
        """Give what the model is asked with for a session that is not kept."""
        seen = (event.item for event in events)
        return self.served.hup.state(events) if self.served.has_profiles else events, seen

    # ------------------------------------------------------------------ answers

    def recommendations(self, asked: Asked, seen: Iterable[str], question: Question) -> Answer:
        """Rank one level, or all of them under ``levels``."""
        levels = self.served.model.levels if question.level == "all" else (self._level(question.level),)
        restriction = self._restriction(question, seen)
        made = {level: self._ranked(asked, level, question, restriction) for level in levels}
        return {"levels": made} if question.level == "all" else made[levels[0]]

    def profile(self, asked: Asked, now: float | None, *, vectors: bool) -> Answer:
        """Give vector and best recommendations of every level, bottom first."""
        made = self._profile(asked, now)
        question = Question(k=TOP, now=now)
        restriction = self._restriction(question, ())
        answer: Answer = {}
        for level, vector in made.items():
            part = {"vector": vector.tolist()} if vectors else {}
            answer[level] = {**part, "top": self._top(asked, level, question, restriction)}
        return answer

    def similar(self, item: str, level: str, k: int) -> Answer:
        """List what is most like an item, or a category."""
        model = self.served.model
        of_level = self._level(level)
        restriction = self._restriction(Question(), ())
        try:
            found = model.similar(item, of_level, k, restriction)
        except HupError as error:
            raise ServiceError(404, str(error)) from None
        return self._told(found)

    # ------------------------------------------------------------------ parts

    def _level(self, level: str) -> Level:
        levels = self.served.model.levels
        if level not in levels:
            raise ServiceError(404, f"The model has no level {level!r:.80}; it has: all, {', '.join(levels)}.")
        return Level(level)

    def _restriction(self, question: Question, seen: Iterable[str]) -> InStock:
        restriction = InStock(self.catalog, within=question.within, new_only=question.new_only, seen=seen)
        if restriction.within and restriction.within not in self.served.model.vocabulary.category_codes:
            raise ServiceError(
                404,
                f"The model knows no category {question.within!r:.200}. Expected names from category_1 on, with ' > ' "
                "between them.",
            )
        return restriction

    def _ranked(self, asked: Asked, level: Level, question: Question, restriction: InStock) -> Answer:
        return self._told(self.served.recommend(asked, level, question.k, question.now, restriction))

    def _top(self, asked: Asked, level: str, question: Question, restriction: InStock) -> list[Answer]:
        """Give the best of a level; nothing is recommended of micro-behaviors."""
        if level not in self.served.model.levels:
            return []
        found = self.served.recommend(asked, level, question.k, question.now, restriction)
        return self._list(found)

    def _profile(self, asked: Asked, now: float | None) -> dict[str, Any]:
        try:
            model = self.served.hup
            model.output.check_profiles()
        except HupError as error:
            raise ServiceError(409, str(error)) from None
        return model.profile(asked, now)

    def _told(self, found: Recommendations) -> Answer:
        return {
            "level": found.level,
            "ranked": self._list(found),
            "reasons": found.reasons,
            "basis": found.basis,
            "note": found.note,
        }

    def _list(self, found: Recommendations) -> list[Answer]:
        return [self._one(one, found.level == ITEM) for one in found.ranked]

    def _one(self, one: Recommendation, is_item: bool) -> Answer:
        told = {"name": one.name, "path": one.path, "score": one.score, "seen": one.seen, "origin": one.origin}
        if is_item:
            told["item"] = self.catalog.row(one.name)
        return told
