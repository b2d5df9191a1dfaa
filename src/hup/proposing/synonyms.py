"""What the name of a column says about its role, by the words of ``synonyms.toml``."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import Any

_TABLE: dict[str, Any] = tomllib.loads((files("hup.proposing") / "synonyms.toml").read_text(encoding="utf-8"))
#: Names of columns by role, the likeliest first.
SYNONYMS: dict[str, list[str]] = _TABLE["columns"]
#: Values of a column of behaviors.
ACTIONS = frozenset(_TABLE["actions"])
#: Texts that often stand for nothing; a mapping has to say so.
LIKELY_NULLS: tuple[str, ...] = tuple(_TABLE["nulls"])
_ENDINGS = frozenset(_TABLE["endings"])
#: Values that are devices, systems and browsers.
DEVICES = frozenset(_TABLE["devices"])
_ALONE = frozenset(_TABLE["alone"])
_NUMBER_LAST = re.compile(r"(.*?)[ _.-]?(\d{1,2})(?:[ _.-]?(?:id|name|code))?", re.IGNORECASE)
_NUMBER_FIRST = re.compile(r"(?:level|lvl|ebene|l)[ _.-]?(\d{1,2})[ _.-](.+)", re.IGNORECASE)
_CATEGORY_WORD = re.compile(r"(?:.*(?:category|categories|categorie|kategorie|warengruppe|类目|类别|品类)|cat)")
#: They say little beside other words: a price level is none of categories.
_LEVEL_WORDS = frozenset(["department", "class", "level", "lvl", "ebene", "l", "c"])


def words_of(name: str) -> list[str]:
    """Split a name at capitals, underscores and the like, in small letters."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word for word in re.split(r"[\W_]+", parted.casefold()) if word]


def name_fit(name: str, role: str) -> int:
    """Score how well a name fits a role: 0 for not at all, up to 100."""
    words = words_of(name)
    synonyms = SYNONYMS[role]
    stem = list(words)
    while len(stem) > 1 and stem[-1] in _ENDINGS:
        stem.pop()
    # "Kundennummer" and "visitorid" are one word each.
    bare = re.sub("(nummer|number|nr|id)$", "", "".join(stem))
    for score, word in ((100, "".join(words)), (85, "".join(stem)), (80, bare)):
        if word in synonyms:
            return score - synonyms.index(word) // 3
    places = [synonyms.index(word) for word in words if word in synonyms and len(word) > 2 and word not in _ALONE]
    return 45 - min(places) // 3 if places else 0


def category_number(name: str) -> tuple[str, int] | None:
    """Give the name without its number and the 2 of ``category_2``, ``item_category2`` or ``cat_l2``."""
    if match := _NUMBER_LAST.fullmatch(name):
        stem, number = match[1], match[2]
    elif match := _NUMBER_FIRST.fullmatch(name):
        stem, number = match[2], match[1]
    else:
        return None
    words = words_of(stem)
    if any(map(_CATEGORY_WORD.fullmatch, words)) or (words and _LEVEL_WORDS.issuperset(words)):
        return " ".join(words), int(number)
    return None
