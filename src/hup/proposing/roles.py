"""Which column has which role: by its name, among those whose values may have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hup.proposing.column_profile import ColumnProfile
from hup.proposing.synonyms import ACTIONS, category_number, name_fit

_MOST_BEHAVIORS = 100
_FEW = 20
_SHOWN_CANDIDATES = 5
_LEAST_FILLED = 0.5
_SURE = 80  # a name that says the role without other words

Fits = Callable[[ColumnProfile], bool]


def best(role: str, fits: Fits, profiles: Iterable[ColumnProfile]) -> tuple[ColumnProfile | None, str]:
    """Give the best-named column that fits, else the only one whose values leave no doubt."""
    fitting = [profile for profile in profiles if fits(profile)]
    named = [profile for profile in fitting if name_fit(profile.name, role)]
    if named:
        best = max(named, key=lambda profile: (name_fit(profile.name, role), profile.filled))
        return best, f"by its name; {_described(best, role)}"
    if role == "timestamp":
        sure = [profile for profile in fitting if profile.time in ("native", "iso")] or [
            profile for profile in fitting if not (profile.time == "format" and profile.is_number)
        ]
        if len(sure) == 1:
            return sure[0], f"the only column of times; {_described(sure[0], role)}"
    if role == "behavior":
        sure = [profile for profile in fitting if _acts(profile)]
        if len(sure) == 1:
            return sure[0], f"its values are actions; {_described(sure[0], role)}"
    return None, ""


def _described(profile: ColumnProfile, role: str) -> str:
    shapes = {"native": "timestamps", "iso": "dates as text", "s": "seconds", "ms": "milliseconds"}
    if role == "timestamp":
        if profile.time == "format":
            return f"dates written {profile.formats[0]}"
        return shapes.get(profile.time or "", f"numbers ({profile.time})")
    return f"{profile.distinct:,} values in {profile.rows:,} rows"


def _acts(profile: ColumnProfile) -> bool:
    acting = sum(count for text, count in profile.counts.items() if text.strip().casefold() in ACTIONS)
    return acting > len(profile.texts) / 2


def _is_behavior(profile: ColumnProfile) -> bool:
    few = profile.distinct <= _FEW or profile.distinct <= min(_MOST_BEHAVIORS, profile.rows / 10)
    return few and profile.may_name and profile.time is None and not _is_measure(profile)


def _is_measure(profile: ColumnProfile) -> bool:
    return profile.is_number and (not profile.is_whole or profile.distinct > _MOST_BEHAVIORS)


def _is_id(profile: ColumnProfile) -> bool:
    # An item_category is no item.
    is_category = name_fit(profile.name, "category") > 0 or category_number(profile.name) is not None
    return profile.may_name and not is_category and profile.filled >= _LEAST_FILLED


def _tells_apart(profile: ColumnProfile) -> bool:
    return _is_id(profile) and profile.unfit is None


def why_unfit(profile: ColumnProfile, role: str) -> str | None:
    """Say why a column whose name fits a role has values that do not."""
    if role not in ("item", "user", "event_id") or name_fit(profile.name, role) < _SURE:
        return None
    if not profile.texts or profile.filled < _LEAST_FILLED:
        return f"{1 - profile.filled:.0%} of its values are missing"
    return profile.unfit


#: What values must be, in the order in which roles take their columns: the surest first.
FITS: dict[str, Fits] = {
    "timestamp": lambda profile: profile.time is not None,
    "event_id": lambda profile: profile.may_name and profile.filled >= _LEAST_FILLED and profile.unfit is None,
    "session": _is_id,
    "user": _tells_apart,
    "dwell": lambda profile: profile.is_number,
    "interval": lambda profile: profile.is_number,
    "behavior": _is_behavior,
    "item": _tells_apart,
}


def candidates(role: str, profiles: Iterable[ColumnProfile]) -> list[str]:
    """Name columns that nobody has and whose values would do, the likeliest first."""
    fits: Fits = (lambda profile: profile.may_name) if role == "categories" else FITS[role]
    fitting = [profile for profile in profiles if fits(profile)]
    if role in ("item", "user", "session"):
        fitting.sort(key=lambda profile: -profile.distinct)
    return [profile.name for profile in fitting][:_SHOWN_CANDIDATES]
