"""Where the category path of an event may come from, judged by a sample."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from hup.proposing.column_profile import ColumnProfile
from hup.proposing.synonyms import category_number, name_fit, words_of

_PATH_DELIMITERS = (" > ", ">", "::", " / ", "/", "|", ".", ", ", ";")
_LEAST_SHARE = 0.5
_NESTED = 0.95
_LEAST_FILLED = 0.2  # a third is usual: what is known of some items alone helps, too


@dataclass(frozen=True)
class CategoryGuess:
    """Categories as a mapping would state them.

    Attributes
    ----------
    keys : dict
        Of the section ``[categories]``.
    columns : tuple of ColumnProfile
        Columns that it uses.
    why : str
        In a sentence.
    """

    keys: Mapping[str, Any]
    columns: tuple[ColumnProfile, ...]
    why: str


def guess_categories(profiles: Sequence[ColumnProfile], sample: pa.Table) -> CategoryGuess | None:
    """Find numbered columns, a column of paths, or columns that nest; None if there are none.

    Parameters
    ----------
    profiles : sequence of ColumnProfile
        Columns that have no other role.
    sample : Table
        The rows themselves, to see which column decides which.
    """
    named = [profile for profile in profiles if profile.may_name]
    numbered = _numbered(named)
    if len(numbered) > 1:
        why = "numbered columns, coarsest first: " + " < ".join(f"{profile.distinct:,}" for profile in numbered)
        return CategoryGuess({"columns": [profile.name for profile in numbered]}, tuple(numbered), why + " values")
    likely = sorted(
        (
            profile
            for profile in named
            if (name_fit(profile.name, "category") or profile in numbered)
            and profile.unfit is None
            and profile.filled >= _LEAST_FILLED
        ),
        key=lambda profile: -name_fit(profile.name, "category"),
    )
    for profile in likely:
        if (guess := _path(profile)) is not None:
            return guess
    chain = _nested(likely, sample)
    if not chain:
        return None
    why = "one level" if len(chain) == 1 else "each column decides the one before it"
    return CategoryGuess({"columns": [profile.name for profile in chain]}, tuple(chain), why)


def _numbered(named: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    """Find the most columns that differ in a number alone, coarsest first; the first may have none."""
    families: dict[str, dict[int, ColumnProfile]] = {}
    for profile in named:
        if (found := category_number(profile.name)) is not None:
            families.setdefault(found[0], {})[found[1]] = profile
    for profile in named:
        family = families.get(" ".join(words_of(profile.name)), {})
        if family and not {0, 1} & family.keys():
            family[1] = profile
    numbers = max(families.values(), key=len, default={})
    ordered = [numbers[number] for number in sorted(numbers)]
    # Of fine levels there are more, unless many paths stop early.
    if ordered and ordered[0].distinct > ordered[-1].distinct and ordered[0].filled <= ordered[-1].filled:
        ordered.reverse()
    return ordered


def _path(profile: ColumnProfile) -> CategoryGuess | None:
    """See whether most values are paths, and from which end."""
    for delimiter in _PATH_DELIMITERS:
        paths = {text: count for text, count in profile.counts.items() if delimiter in text}
        if sum(paths.values()) < _LEAST_SHARE * len(profile.texts) or profile.is_number:
            continue
        parts = [text.split(delimiter) for text in paths]
        depths = Counter(len(path) for path in parts)
        is_finest_first = len({path[0] for path in parts}) > len({path[-1] for path in parts})
        keys: dict[str, Any] = {"column": profile.name, "delimiter": delimiter}
        why = f"paths parted by {delimiter!r}, {min(depths)} to {max(depths)} deep"
        if is_finest_first:
            keys["finest_first"] = True
            why += ", finest first, as there are fewer last parts than first ones"
        return CategoryGuess(keys, (profile,), why)
    return None


def _nested(likely: Iterable[ColumnProfile], sample: pa.Table) -> list[ColumnProfile]:
    """Choose columns of which each decides the coarser one before it; the best-named is always among them."""
    pool = list(likely)
    if not pool:
        return []
    chain = [pool[0]]
    for profile in pool[1:]:
        candidate = sorted([*chain, profile], key=lambda other: other.distinct)
        if len({other.distinct for other in candidate}) == len(candidate) and all(
            _decides(sample, finer.name, coarser.name) for coarser, finer in pairwise(candidate)
        ):
            chain = candidate
    return chain


def _decides(sample: pa.Table, finer: str, coarser: str) -> bool:
    """Tell whether nearly all rows have the usual coarser value of their finer one."""
    seen: defaultdict[Any, Counter[Any]] = defaultdict(Counter)
    for low, high in zip(sample[finer].to_pylist(), sample[coarser].to_pylist(), strict=True):
        if low is not None and high is not None:
            seen[low][high] += 1
    total = sum(sum(counts.values()) for counts in seen.values())
    usual = sum(max(counts.values()) for counts in seen.values())
    return total > 0 and usual >= _NESTED * total
