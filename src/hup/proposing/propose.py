"""A mapping proposed from the names of columns and a sample of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from hup.data.tables.mapping import NULLS, Mapping, builtin_mappings, load_mapping, standard_mapping
from hup.errors import HupError
from hup.proposing.categories import guess_categories
from hup.proposing.column_profile import ColumnProfile, profile_columns
from hup.proposing.durations import varies
from hup.proposing.synonyms import ACTIONS, name_fit

_MOST_BEHAVIORS = 100
_FEW = 20
_SHOWN_CANDIDATES = 5
#: What each role is for, where no column was found.
_WITHOUT = {
    "timestamp": "needed: when an event happened",
    "item": "needed: what it happened to",
    "user": "needed unless sessions are mapped: who did it",
    "session": "without, sessions are cut at idle gaps",
    "behavior": "without, all events are of one kind",
    "event_id": "orders events of the same time, and tells duplicates",
    "dwell": "without, dwell times are computed from the times",
    "interval": "without, intervals are computed from the times",
    "categories": "without, there are only items",
}
_DURATIONS = ("dwell", "interval")
_CONSTANT = (
    "{name}: not taken for the {role}, as it is mostly the same in one row and the next of a session: a duration of "
    "the whole session would tell when it ends."
)
_ALWAYS_TOLD = ("timestamp", "item", "user", "session", "behavior", "categories")


@dataclass(frozen=True)
class Choice:
    """A role and what was found for it.

    Attributes
    ----------
    role : str
        As in a mapping; ``categories`` for all columns of the path.
    columns : tuple of str
        Columns that have it; empty if none was found.
    examples : str
        Their most frequent values.
    why : str
        Why these, or what their absence means.
    candidates : tuple of str
        Other columns that might have the role.
    """

    role: str
    columns: tuple[str, ...]
    examples: str
    why: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A mapping that fits a sample.

    Attributes
    ----------
    mapping : Mapping or None
        None if a column is missing without which there is none.
    tree : dict
        The mapping as far as it goes, as TOML would have it.
    choices : tuple of Choice
    known_as : str or None
        Name of the built-in mapping that has these columns; ``"standard"`` for HUP's own.
    remarks : tuple of str
        Sentences about what to check.
    """

    mapping: Mapping | None
    tree: AnyMapping[str, Any]
    choices: tuple[Choice, ...]
    known_as: str | None = None
    remarks: tuple[str, ...] = ()


def propose_mapping(sample: pa.Table, delimiter: str = ",", header: Sequence[str] | None = None) -> Proposal:
    """Propose a mapping for a table.

    Parameters
    ----------
    sample : Table
        Some rows, with all columns of the table under their names.
    delimiter : str
        Between the fields of delimited text.
    header : sequence of str, optional
        Names given to the columns of files that have none.

    Returns
    -------
    Proposal
        Where the columns are those of a built-in mapping, that; else each role goes to the column whose name fits best
        among those whose values may have it.
    """
    profiles = {profile.name: profile for profile in profile_columns(sample)}
    known_as, mapping = recognise(sample)
    if mapping is None:
        return _guessed(profiles, sample, delimiter, header)
    choices = tuple(_known_choices(mapping, profiles))
    tree = mapping.model_dump(mode="json", exclude_defaults=True)
    if known_as == "standard" and delimiter != ",":
        # Own names need no mapping, but a delimiter of its own needs one to say so.
        tree = {**tree, "name": None, "tables": [{**table, "delimiter": delimiter} for table in tree["tables"]]}
        known_as, mapping = None, Mapping.validated(tree)
        tree = mapping.model_dump(mode="json", exclude_defaults=True)
    return Proposal(mapping, tree, choices, known_as, tuple(_null_remarks(profiles.values(), mapping.nulls)))


def recognise(sample: pa.Table) -> tuple[str | None, Mapping | None]:
    """Tell which known mapping has these columns: a built-in one, or HUP's own names."""
    columns = sample.column_names
    own = standard_mapping(columns)
    if own is not None:
        return "standard", own
    for name in builtin_mappings():
        mapping = load_mapping(name)
        for table in mapping.tables:
            if table.header is not None:
                if list(table.header) == columns:
                    return name, mapping
                continue
            try:
                table.resolve(columns, mapping.categories)
            except HupError:
                continue
            return name, mapping
    return None, None


def _known_choices(mapping: Mapping, profiles: AnyMapping[str, ColumnProfile]) -> Iterable[Choice]:
    why = "HUP's own name" if mapping.name == "standard" else f"as in {mapping.name}"
    for table in mapping.tables:
        try:
            bound = table.bind(profiles, mapping.categories)
        except HupError:
            continue
        for role in ("user", "session", "event_id", "timestamp", "item", "behavior", "interval", "dwell"):
            name = getattr(bound, role)
            if name is not None:
                yield Choice(role, (name,), profiles[name].examples(), why)
        if bound.categories:
            examples = " | ".join(profiles[name].examples(2) for name in bound.categories)
            yield Choice("categories", bound.categories, examples, why)
        return


def _guessed(
    profiles: AnyMapping[str, ColumnProfile], sample: pa.Table, delimiter: str, header: Sequence[str] | None
) -> Proposal:
    free = dict(profiles)
    chosen: dict[str, ColumnProfile] = {}
    choices: dict[str, Choice] = {}
    remarks: list[str] = []
    time_of_day = None
    for role, fits in _FITS.items():
        suited = list(free.values())
        if role in _DURATIONS:
            constant = {profile.name for profile in suited if fits(profile) and not _varies(profile, chosen, sample)}
            suited = [profile for profile in suited if profile.name not in constant]
            remarks += [_CONSTANT.format(name=name, role=role) for name in sorted(constant) if name_fit(name, role)]
        profile, why = _best(role, fits, suited)
        if profile is not None:
            chosen[role] = free.pop(profile.name)
            choices[role] = Choice(role, (profile.name,), profile.examples(), why)
            if role == "timestamp" and (time_of_day := _time_of_day(profile, free.values())) is not None:
                del free[time_of_day.name]
                choices[role] = _joined(choices[role], time_of_day)
    categories = guess_categories(list(free.values()), sample)
    if categories is not None:
        for profile in categories.columns:
            del free[profile.name]
        examples = " | ".join(profile.examples(2) for profile in categories.columns)
        names = tuple(profile.name for profile in categories.columns)
        choices["categories"] = Choice("categories", names, examples, categories.why)
    for role in _ALWAYS_TOLD:
        if role not in choices:
            choices[role] = Choice(role, (), "", _WITHOUT[role], tuple(_candidates(role, free.values())))
    table = _table(chosen, time_of_day, delimiter, header)
    used = [*chosen.values(), *(categories.columns if categories else ())]
    tree: dict[str, Any] = {"tables": [table], "categories": dict(categories.keys) if categories else {"none": True}}
    extra = sorted({text for profile in used for text in profile.likely_nulls})
    if extra:
        tree["nulls"] = [*NULLS, *extra]
    return Proposal(
        mapping=Mapping.validated(tree) if _is_whole(chosen) else None,
        tree=tree,
        choices=tuple(choices[role] for role in _ORDER if role in choices),
        remarks=(*remarks, *_null_remarks(used, NULLS), *_time_remarks(chosen.get("timestamp"))),
    )


def _time_of_day(date: ColumnProfile, others: Iterable[ColumnProfile]) -> ColumnProfile | None:
    """Find the column with the times of dates: the best-named, or the only one."""
    fitting = [profile for profile in others if profile.is_time_of_day] if date.is_date else []
    named = [profile for profile in fitting if name_fit(profile.name, "timestamp")]
    if named:
        return max(named, key=lambda profile: name_fit(profile.name, "timestamp"))
    return fitting[0] if len(fitting) == 1 else None


def _joined(choice: Choice, time_of_day: ColumnProfile) -> Choice:
    examples = f"{choice.examples} | {time_of_day.examples(2)}"
    return replace(
        choice, columns=(*choice.columns, time_of_day.name), examples=examples, why=f"{choice.why}, and times"
    )


def _varies(profile: ColumnProfile, chosen: AnyMapping[str, ColumnProfile], sample: pa.Table) -> bool:
    """Tell whether a duration is one of events, as far as the sample shows sessions, or users."""
    owner = chosen.get("session") or chosen.get("user")
    return owner is not None and varies(sample[profile.name].to_pylist(), sample[owner.name].to_pylist())


def _is_whole(chosen: AnyMapping[str, ColumnProfile]) -> bool:
    return {"timestamp", "item"} <= set(chosen) and bool({"user", "session"} & set(chosen))


def _table(
    chosen: AnyMapping[str, ColumnProfile],
    time_of_day: ColumnProfile | None,
    delimiter: str,
    header: Sequence[str] | None,
) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if delimiter != ",":
        table["delimiter"] = delimiter
    if header is not None:
        table["header"] = list(header)
    table |= {role: chosen[role].name for role in ("user", "session", "event_id") if role in chosen}
    if "timestamp" in chosen:
        table["timestamp"] = _timestamp(chosen["timestamp"], time_of_day)
    if "item" in chosen:
        table["item"] = chosen["item"].name
    table["behavior"] = chosen["behavior"].name if "behavior" in chosen else {"value": "event"}
    for role in ("interval", "dwell"):
        if role in chosen:
            table[role] = _seconds(chosen[role])
    return table


def _timestamp(profile: ColumnProfile, time_of_day: ColumnProfile | None) -> str | dict[str, Any]:
    rule: dict[str, Any] = {"column": profile.name}
    if time_of_day is not None:
        rule["time"] = time_of_day.name
    if profile.time is not None and profile.time != "native":
        rule["unit"] = profile.time
    if profile.names_no_zone:
        rule["zone"] = "UTC"
    return rule if len(rule) > 1 else profile.name


def _seconds(profile: ColumnProfile) -> str | dict[str, Any]:
    is_ms = profile.name.casefold().endswith(("ms", "millis", "milliseconds"))
    return {"column": profile.name, "unit": "ms"} if is_ms else profile.name


Fits = Callable[[ColumnProfile], bool]


def _best(role: str, fits: Fits, profiles: Iterable[ColumnProfile]) -> tuple[ColumnProfile | None, str]:
    """Give the best-named column that fits, else the only one whose values leave no doubt."""
    fitting = [profile for profile in profiles if fits(profile)]
    named = [profile for profile in fitting if name_fit(profile.name, role)]
    if named:
        best = max(named, key=lambda profile: (name_fit(profile.name, role), profile.filled))
        return best, f"by its name; {_described(best, role)}"
    if role == "timestamp":
        sure = [profile for profile in fitting if profile.time in ("native", "iso")] or fitting
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
    return profile.may_name and name_fit(profile.name, "category") == 0


# In the order in which roles take their columns: the surest first.
_FITS: dict[str, Fits] = {
    "timestamp": lambda profile: profile.time is not None,
    "event_id": lambda profile: profile.may_name and profile.distinct > 1,
    "session": _is_id,
    "user": _is_id,
    "dwell": lambda profile: profile.is_number,
    "interval": lambda profile: profile.is_number,
    "behavior": _is_behavior,
    "item": _is_id,
}
_ORDER = ("user", "session", "event_id", "timestamp", "item", "behavior", "interval", "dwell", "categories")


def _candidates(role: str, profiles: Iterable[ColumnProfile]) -> list[str]:
    """Name columns that nobody has and whose values would do, the likeliest first."""
    fits: Fits = (lambda profile: profile.may_name) if role == "categories" else _FITS[role]
    fitting = [profile for profile in profiles if fits(profile)]
    if role in ("item", "user", "session"):
        fitting.sort(key=lambda profile: -profile.distinct)
    return [profile.name for profile in fitting][:_SHOWN_CANDIDATES]


def _null_remarks(profiles: Iterable[ColumnProfile], nulls: Sequence[str]) -> list[str]:
    return [
        f"{profile.name}: {text!r} is taken to mean missing ({profile.counts[text]:,} of {profile.rows:,} rows)."
        for profile in profiles
        for text in profile.likely_nulls
        if text not in nulls
    ]


def _time_remarks(profile: ColumnProfile | None) -> list[str]:
    if profile is None or not profile.names_no_zone:
        return []
    return [f"{profile.name}: the times name no zone; UTC is assumed. Set zone to the shop's, such as Europe/Berlin."]
