"""What a recommender answers for one user: a ranked list that says where it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from hup.data.item_columns import check_shown, titles
from hup.readable import Readable, Summary, shortened
from hup.recommender.answer_table import answer_dict, answer_frame, answer_table
from hup.recommender.best import best_of_one
from hup.recommender.candidates import excluded_code, has_no_category
from hup.recommender.restriction import Restriction
from hup.recommender.vocabulary import Seen, Vocabulary
from hup.sessions.levels import ITEM, Level

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10
_RUNS_SHOWN = 3  # of what an origin came from

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Origin:
    """Where the probability of a recommendation comes from; the four shares sum to 1.

    Attributes
    ----------
    repeat : float
        The session has been on it.
    memory : float
        Other sessions were on it near what this session has been on.
    popularity : float
        Many sessions were on it.
    profile : float
        It fits the profile. Besides, the profile raises or lowers what the other parts say in one proportion.
    runs : tuple of Reason
        What of the session repeat and memory came from, as shares of the probability, most first; at most three.
    """

    repeat: float
    memory: float
    popularity: float
    profile: float
    runs: tuple[Reason, ...]


@dataclass(frozen=True)
class Recommendation:
    """One item or category.

    Attributes
    ----------
    name : str
    score : float
        What :attr:`Recommendations.basis` names: cosine of profile and target vector, in [-1, 1]; any number of which
        a higher one is better; or the share of training runs.
    path : tuple of str
        Names of its categories, coarsest first (for a category: those above it, and itself).
    seen : bool
        Whether the session has it already.
    origin : Origin or None
        Where its probability comes from; None where a score is no probability.
    item : mapping
        What the shop says of the item, by column: name, price and whatever else the dataset carries. None where it
        says nothing of this one; of categories, and without a table of items, there are no columns.
    """

    name: str
    score: float
    path: tuple[str, ...]
    seen: bool
    origin: Origin | None = None
    item: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Reason:
    """A run of the session and its share of the attention (Eq. 5) behind the recommendations.

    Attributes
    ----------
    name : str
        Item or category of the run.
    weight : float
        Attention weight, in [0, 1]; all runs of the session sum to 1.
    path : tuple of str
        Names of its categories, as in :class:`Recommendation`; two categories may have the same name.
    """

    name: str
    weight: float
    path: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Recommendations(Readable):
    """Ranked list of one level.

    Attributes
    ----------
    level : str
        ``"item"`` or ``"category_k"``.
    ranked : tuple of Recommendation
        Best first.
    reasons : tuple of Reason
        Items or categories of the session by the attention they got, most first; none where a model has no attention.
    basis : str
        What the scores are: ``"profile"`` (HUP), ``"probability"`` (HUP with a mixture), ``"score"`` (other models), or
        ``"popularity"`` where the session is empty. Of what is similar ``"cosine"`` or ``"co-visits"``.
    note : str
        What is to be known of the restriction: how many of its items the model does not know, and that nothing is left.
    item_schema : pyarrow.Schema or None
        Names and types of the columns in :attr:`Recommendation.item`; None where there are none.
    chosen : bool
        Whether all of these are shown at a prompt; otherwise the name alone.
    """

    level: str
    ranked: tuple[Recommendation, ...]
    reasons: tuple[Reason, ...]
    basis: str
    note: str = ""
    item_schema: pa.Schema | None = field(default=None, compare=False)
    chosen: bool = field(default=False, compare=False)

    def showing(self, columns: Sequence[str]) -> Recommendations:
        """Give the same answer with these of the items' columns alone, in this order; categories have none anyway.

        Raises
        ------
        HupError
            There is no such column.
        """
        if self.level != "item":
            return self
        check_shown(columns, [] if self.item_schema is None else self.item_schema.names)
        if self.item_schema is None:
            return self
        schema = pa.schema([self.item_schema.field(name) for name in columns])
        return replace(self, item_schema=schema, chosen=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, for JSON."""
        return {
            "level": self.level,
            "ranked": [answer_dict(one, self.item_schema) for one in self.ranked],
            "reasons": [asdict(reason) for reason in self.reasons],
            "basis": self.basis,
            "note": self.note,
        }

    def to_arrow(self) -> pa.Table:
        """Give a row a recommendation.

        Returns
        -------
        pyarrow.Table
            ``rank`` from 1, ``name``, ``path``, ``score``, ``seen``, the structure ``origin`` with the shares of
            repeat, memory, popularity and profile, and, of items of which columns are carried, the structure ``item``.
        """
        return answer_table(self.ranked, self.item_schema)

    def to_frame(self) -> pd.DataFrame:
        """Give the same as a data frame of pandas: paths as text, ``origin.repeat``, ``item.price`` and so on.

        Raises
        ------
        HupError
            pandas is not installed.
        """
        return answer_frame(self.to_arrow())

    def _summary(self) -> Summary:
        columns = [] if self.item_schema is None else self.item_schema.names
        columns = columns if self.chosen else [*titles(columns)]
        rows = [
            [str(place), one.name, f"{one.score:.3f}", *map(shortened, (" > ".join(one.path), *_said(one, columns)))]
            for place, one in enumerate(self.ranked[:_SHOWN], 1)
        ]
        left = len(self.ranked) - len(rows)
        more = [f"… and {left:,} more" if left else "", self.note]
        kind = "item" if self.level == "item" else "category"
        return Summary(
            f"{len(self.ranked):,} recommendations of level {self.level}",
            rows,
            ["", kind, self.basis, "categories", *columns] if rows else (),
            "; ".join(part for part in more if part),
        )


def _said(one: Recommendation, columns: Sequence[str]) -> list[str]:
    return ["" if one.item.get(name) is None else str(one.item[name]) for name in columns]


@dataclass(frozen=True)
class OwnCandidate:
    """Something of the session that the vocabulary lacks: its code, path of codes (coarsest first) and names."""

    code: int
    path: tuple[int, ...]
    name: str
    names: tuple[str, ...]


def own_candidates(vocabulary: Vocabulary, items: Mapping[str, Seen], level: str) -> list[OwnCandidate]:
    """Items, or categories of a level, of a session's items that the vocabulary lacks, in the order they were met.

    Never "no category".
    """
    n_known, level = vocabulary.size(level), Level(level)
    own: dict[int, OwnCandidate] = {}
    for item, seen in items.items():
        code, names = _code(seen, level), _names(seen, level)
        if code >= n_known and not has_no_category(seen, level):
            own[code] = OwnCandidate(code, seen.path, names[-1] if level.is_category else item, names)
    return [own[code] for code in sorted(own)]


def rank(
    vocabulary: Vocabulary,
    items: Mapping[str, Seen],
    current: str,
    level: str,
    known: Tensor,
    own: Tensor,
    candidates: Sequence[OwnCandidate],
    k: int,
    origins: Callable[[Sequence[int]], Sequence[Origin]] | None = None,
    restriction: Restriction | None = None,
    met: Mapping[str, Seen] | None = None,
) -> tuple[Recommendation, ...]:
    """Take the best by the scores of vocabulary ``(n_known,)`` and own candidates ``(U,)``.

    Never the current item, and never "no category". ``items`` are those of the session, ``met`` those of earlier ones,
    too; ``origins`` tells of codes where their probability comes from.
    """
    of_level, n_known = Level(level), len(known)
    codes = [candidate.code for candidate in candidates]
    column = {code: place for place, code in enumerate(codes, n_known)}
    lost = {excluded_code(vocabulary, items, current, level)}
    if restriction is not None and restriction.new_only:
        lost |= {_code(one, of_level) for one in (met or items).values()}
    gone = [code if code < n_known else column[code] for code in lost if 0 <= code < n_known or code in column]
    allowed = None
    if restriction is not None:
        allowed = restriction.of_vocabulary(vocabulary, level)
        gone += [column[one.code] for one in candidates if not restriction.allows(one.name, one.names)]
    places, scores = best_of_one(known, own, gone, allowed, k)
    chosen = [place if place < n_known else codes[place - n_known] for place in places]
    seen = {_code(one, of_level) for one in items.values()}
    told = [None] * len(chosen) if origins is None else origins(chosen)
    ranked = []
    for place, code, score, origin in zip(places, chosen, scores, told, strict=True):
        if place < n_known:
            name, names = known_names(vocabulary, of_level, place)
            ranked.append(Recommendation(name, score, names, code in seen, origin))
        else:
            candidate = candidates[place - n_known]
            ranked.append(Recommendation(candidate.name, score, candidate.names, True, origin))
    return tuple(ranked)


def popular(
    vocabulary: Vocabulary, level: str, k: int, restriction: Restriction | None = None
) -> tuple[Recommendation, ...]:
    """Most visited of the training split, with their shares of its runs as scores."""
    counts = vocabulary.counts[level].copy()
    excluded = Level(level).pick(-1, vocabulary.no_category)
    if excluded >= 0:
        counts[excluded] = 0
    allowed = None if restriction is None else restriction.of_vocabulary(vocabulary, level)
    best = np.argsort(-counts, kind="stable")
    if allowed is not None:
        best = best[allowed.numpy()[best]]
    ranked = []
    for code in best[best != excluded][:k].tolist():
        name, names = known_names(vocabulary, level, code)
        ranked.append(Recommendation(name, float(counts[code] / counts.sum()), names, False))
    return tuple(ranked)


def reasons(
    items: Mapping[str, Seen], visited: Sequence[str], level: str, weights: Sequence[float]
) -> tuple[Reason, ...]:
    """Add up the attention on each item or category of a session, most first.

    Parameters
    ----------
    items : mapping of str to Seen
        Those of the session.
    visited : sequence of str
        The item that each weight belongs to.
    level : str
        Whose names to give: ``"item"`` or ``"category_k"``.
    weights : sequence of float
    """
    of_level = Level(level)
    shares: defaultdict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
    for item, weight in zip(visited, weights, strict=True):
        shares[_named(items[item], item, of_level)] += weight
    most_first = sorted(shares.items(), key=lambda share: -share[1])
    return tuple(Reason(name, weight, path) for (name, path), weight in most_first)


def origins_of(
    items: Mapping[str, Seen],
    visited: Sequence[str],
    level: str,
    score: Floats,
    repeat: Floats,
    memory: Floats,
    profile: Floats,
) -> list[Origin]:
    """Sum up what brings the probabilities of ``C`` codes about.

    Parameters
    ----------
    items, visited, level
        As for :func:`reasons`.
    score : ndarray
        ``(C,)``, the probabilities.
    repeat, memory : ndarray
        ``(C, P)``, what each visit brings to them.
    profile : ndarray
        ``(C,)``, what the profile brings to them; the rest is popularity's.
    """
    again, near = repeat.sum(axis=1), memory.sum(axis=1)
    total = np.maximum(np.maximum(score, again + near + profile), 1e-30)
    again, near, fits = again / total, near / total, profile / total
    rest = np.maximum(0, 1 - again - near - fits)
    of_level = Level(level)
    named = [_named(items[item], item, of_level) for item in visited]
    names = list(dict.fromkeys(named))
    of_visits = (repeat + memory) / total[:, None]
    shares = of_visits
    if len(names) < len(named):  # visits may be of one name
        shares, number = np.zeros((len(score), len(names))), {name: place for place, name in enumerate(names)}
        for visit, name in enumerate(named):
            shares[:, number[name]] += of_visits[:, visit]
    most = np.argsort(-shares, axis=1, kind="stable")[:, :_RUNS_SHOWN]
    of_most = zip(most.tolist(), shares[np.arange(len(shares))[:, None], most].tolist(), strict=True)
    runs = [
        tuple(Reason(names[place][0], share, names[place][1]) for place, share in zip(*of_code, strict=True) if share)
        for of_code in of_most
    ]
    parts = (again.tolist(), near.tolist(), rest.tolist(), fits.tolist(), runs)
    return [Origin(*of_code) for of_code in zip(*parts, strict=True)]


def _named(seen: Seen, item: str, level: Level) -> tuple[str, tuple[str, ...]]:
    """Name of an item, or of its category of a level, with its path of names."""
    names = _names(seen, level)
    return names[-1] if level.is_category else item, names


def _code(seen: Seen, level: Level) -> int:
    return level.pick(seen.code, seen.path)


def _names(seen: Seen, level: Level) -> tuple[str, ...]:
    """Path of names down to a category of the level; of an item its whole path."""
    return seen.names[: level.k] if level.is_category else seen.names


def known_names(vocabulary: Vocabulary, level: str, code: int) -> tuple[str, tuple[str, ...]]:
    """Name of a code of the vocabulary, and its path of names."""
    if level != ITEM:
        names = vocabulary.category_path(Level(level).k, code)
        return names[-1], names
    return vocabulary.items[code], vocabulary.category_path(vocabulary.levels, int(vocabulary.paths[code, -1]))
