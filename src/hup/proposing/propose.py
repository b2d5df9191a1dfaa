"""A mapping proposed from the names of columns and a sample of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from hup.data.engines.reader import PLACE_COLUMNS, local_duckdb, quoted_name, sql_types
from hup.data.log_source import Sources
from hup.data.tables.mapping import NULLS, Mapping, builtin_mappings, load_mapping, standard_mapping
from hup.data.tables.mapping_rules import BoundColumns, TableMapping
from hup.errors import HupError
from hup.proposing.categories import CategoryGuess, guess_categories
from hup.proposing.column_profile import ColumnProfile, profile_columns
from hup.proposing.durations import varies
from hup.proposing.roles import FITS, best, candidates, why_unfit
from hup.proposing.sample import sample_of
from hup.proposing.synonyms import name_fit
from hup.proposing.time_formats import reading, time_format

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
_ORDER = ("user", "session", "event_id", "timestamp", "item", "behavior", "interval", "dwell", "categories")
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
    missing : tuple of float
        Share of rows without a value, of each of the columns.
    readings : tuple of dict
        Of a time whose order its values do not tell: the rules of a mapping, of which one is right.
    """

    role: str
    columns: tuple[str, ...]
    examples: str
    why: str
    candidates: tuple[str, ...] = ()
    missing: tuple[float, ...] = ()
    readings: tuple[AnyMapping[str, Any], ...] = ()


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


def propose_mapping(
    source: Sources, delimiter: str = ",", header: Sequence[str] | None = None, encoding: str = "utf-8"
) -> Proposal:
    """Propose a mapping for a table.

    Parameters
    ----------
    source : path, sequence of paths, or table
        As for :func:`hup.prepare`; some rows, with all columns under their names, suffice.
    delimiter : str
        Between the fields of the text that a table in memory was read from; of files it is found out.
    header : sequence of str, optional
        Names given to the columns of files that have none; likewise.
    encoding : str
        Of text.

    Returns
    -------
    Proposal
        Where the columns are those of a built-in mapping, that; else each role goes to the column whose name fits best
        among those whose values may have it.

    Raises
    ------
    HupError
        ``source`` is no table, or does not read.

    Examples
    --------
    >>> proposal = hup.propose_mapping("clicks.csv")                               # doctest: +SKIP
    >>> hup.prepare("clicks.csv", map=proposal.mapping, out="dataset")             # doctest: +SKIP
    """
    taken = sample_of(source, encoding)
    if taken.files:
        delimiter, header = taken.dialect.delimiter, taken.dialect.header
    return _proposal(taken.rows, delimiter, header, encoding)


def _proposal(sample: pa.Table, delimiter: str, header: Sequence[str] | None, encoding: str) -> Proposal:
    known_as, mapping = recognise(sample)
    written: dict[str, Any] = {"delimiter": delimiter} if delimiter != "," else {}
    if encoding != "utf-8":
        written["encoding"] = encoding
    if mapping is None:
        if header is not None:
            written["header"] = list(header)
        return _guessed({profile.name: profile for profile in profile_columns(sample)}, sample, written)
    choices, profiles = _known_choices(mapping, sample)
    tree = mapping.model_dump(mode="json", exclude_defaults=True)
    given = {key: value for key, value in written.items() if getattr(mapping.tables[0], key) != value}
    if given:
        # The columns are known, but not the way in which the text is written.
        tree = {**tree, "name": None, "tables": [{**table, **given} for table in tree["tables"]]}
        known_as, mapping = None, Mapping.validated(tree)
        tree = mapping.model_dump(mode="json", exclude_defaults=True)
    return Proposal(mapping, tree, choices, known_as, tuple(_null_remarks(profiles, mapping.nulls)))


def recognise(sample: pa.Table) -> tuple[str | None, Mapping | None]:
    """Tell which known mapping has these columns: a built-in one, or HUP's own names."""
    columns = sample.column_names
    own = standard_mapping(columns)
    if own is not None:
        return "standard", own
    for name in builtin_mappings():
        mapping = load_mapping(name)
        if any(_bound(table, mapping, columns) is not None for table in mapping.tables):
            return name, mapping
    return None, None


def _known_choices(mapping: Mapping, sample: pa.Table) -> tuple[tuple[Choice, ...], list[ColumnProfile]]:
    """Give the roles of a known mapping, and the columns that have them."""
    why = "HUP's own name" if mapping.name == "standard" else f"as in {mapping.name}"
    bound = next(filter(None, (_bound(table, mapping, sample.column_names) for table in mapping.tables)))
    columns = _flat(sample, bound, mapping) if bound.inner.columns else sample
    profiles = {profile.name: profile for profile in profile_columns(columns)}
    choices = []
    for role in ("user", "session", "event_id", "timestamp", "item", "behavior", "interval", "dwell"):
        name = getattr(bound, role)
        if name is not None:
            choices.append(_choice(role, [profiles[name]], why))
    if bound.categories:
        choices.append(_choice("categories", [profiles[name] for name in bound.categories], why))
    return tuple(choices), list(profiles.values())


def _bound(table: TableMapping, mapping: Mapping, columns: Sequence[str]) -> BoundColumns | None:
    """Find a table's columns; None if it is none of this table's."""
    if table.header is not None and list(table.header) != list(columns):
        return None
    try:
        return table.bind(columns, mapping.categories)
    except HupError:
        return None


def _flat(sample: pa.Table, bound: BoundColumns, mapping: Mapping) -> pa.Table:
    """Give the rows of a sample with the columns that are inside of others."""
    places = ", ".join(f"NULL::VARCHAR AS {name}" for name in PLACE_COLUMNS)
    with local_duckdb() as connection:
        connection.register("sample_rows", sample)
        connection.execute(f"CREATE TEMP VIEW raw_rows AS SELECT *, {places} FROM sample_rows")
        rows, _ = bound.inner.rows(sql_types(sample.schema), mapping.nulls, "the sample")
        wanted = ", ".join(map(quoted_name, bound.names()))
        table: pa.Table = connection.sql(f"SELECT {wanted} FROM {rows}").to_arrow_table()
        return table


def _choice(role: str, profiles: Sequence[ColumnProfile], why: str) -> Choice:
    one = len(profiles) == 1
    examples = " | ".join(profile.examples(3 if one else 2) for profile in profiles)
    missing = tuple(1 - profile.filled for profile in profiles)
    return Choice(role, tuple(profile.name for profile in profiles), examples, why, missing=missing)


def _guessed(profiles: AnyMapping[str, ColumnProfile], sample: pa.Table, written: AnyMapping[str, Any]) -> Proposal:
    free = dict(profiles)
    chosen: dict[str, ColumnProfile] = {}
    choices: dict[str, Choice] = {}
    remarks: list[str] = []
    time: list[AnyMapping[str, Any]] = []
    for role, fits in FITS.items():
        suited = list(free.values())
        if role in _DURATIONS:
            constant = {profile.name for profile in suited if fits(profile) and not _varies(profile, chosen, sample)}
            suited = [profile for profile in suited if profile.name not in constant]
            remarks += [_CONSTANT.format(name=name, role=role) for name in sorted(constant) if name_fit(name, role)]
        remarks += [
            f"{profile.name}: not taken for the {role}, as {why}."
            for profile in suited
            if (why := why_unfit(profile, role)) is not None
        ]
        profile, why = best(role, fits, suited)
        if profile is None:
            continue
        chosen[role] = free.pop(profile.name)
        choices[role] = _choice(role, [profile], why)
        if role == "timestamp":
            time_of_day = _time_of_day(profile, free.values())
            time = _timestamps(profile, time_of_day)
            if time_of_day is not None:
                del free[time_of_day.name]
                choices[role] = _choice(role, [profile, time_of_day], f"{why}, and times")
            if len(time) > 1:
                choices[role] = _asked(choices[role], profile, time)
    categories = guess_categories(list(free.values()), sample)
    if categories is not None:
        for profile in categories.columns:
            del free[profile.name]
        choices["categories"] = _choice("categories", categories.columns, categories.why)
    for role in _ALWAYS_TOLD:
        if role not in choices:
            choices[role] = Choice(role, (), "", _WITHOUT[role], tuple(candidates(role, free.values())))
    used = [*chosen.values(), *(categories.columns if categories else ())]
    table = {**written, **_table(chosen, time[0] if len(time) == 1 else None)}
    if whole := [
        profile.name for profile in used if profile.is_whole_float and profile.name in _ids(table, categories)
    ]:
        table["whole_ids"] = whole
        remarks.append(f"{', '.join(whole)}: ids written as 13085.0 are taken for 13085.")
    tree: dict[str, Any] = {"tables": [table], "categories": dict(categories.keys) if categories else {"none": True}}
    extra = sorted({text for profile in used for text in profile.likely_nulls})
    if extra:
        tree["nulls"] = [*NULLS, *extra]
    return Proposal(
        mapping=Mapping.validated(tree) if _is_whole(table) else None,
        tree=tree,
        choices=tuple(choices[role] for role in _ORDER if role in choices),
        remarks=(*remarks, *_null_remarks(used, NULLS), *_time_remarks(chosen.get("timestamp"))),
    )


def _ids(table: AnyMapping[str, Any], categories: CategoryGuess | None) -> set[str]:
    names = {table[role] for role in ("user", "session", "event_id", "item") if role in table}
    return names | {profile.name for profile in (categories.columns if categories else ())}


def _asked(choice: Choice, profile: ColumnProfile, readings: Sequence[AnyMapping[str, Any]]) -> Choice:
    """Say of times whose order is not known what they may mean."""
    text = profile.texts[0].strip()
    meant = " or ".join(f'{reading(text, format)} (format = "{format}")' for format in profile.formats)
    why = f"needed: the values do not tell days from months: {text} is {meant}"
    return replace(choice, columns=(), why=why, candidates=choice.columns, missing=(), readings=tuple(readings))


def _time_of_day(date: ColumnProfile, others: Iterable[ColumnProfile]) -> ColumnProfile | None:
    """Find the column with the times of dates: the best-named, or the only one."""
    fitting = [profile for profile in others if profile.is_time_of_day] if date.is_date else []
    named = [profile for profile in fitting if name_fit(profile.name, "timestamp")]
    if named:
        return max(named, key=lambda profile: name_fit(profile.name, "timestamp"))
    return fitting[0] if len(fitting) == 1 else None


def _varies(profile: ColumnProfile, chosen: AnyMapping[str, ColumnProfile], sample: pa.Table) -> bool:
    """Tell whether a duration is one of events, as far as the sample shows sessions, or users."""
    owner = chosen.get("session") or chosen.get("user")
    return owner is not None and varies(sample[profile.name].to_pylist(), sample[owner.name].to_pylist())


def _is_whole(table: AnyMapping[str, Any]) -> bool:
    return {"timestamp", "item"} <= set(table) and bool({"user", "session"} & set(table))


def _table(chosen: AnyMapping[str, ColumnProfile], timestamp: AnyMapping[str, Any] | None) -> dict[str, Any]:
    table: dict[str, Any] = {role: chosen[role].name for role in ("user", "session", "event_id") if role in chosen}
    if timestamp is not None:
        table["timestamp"] = dict(timestamp) if len(timestamp) > 1 else timestamp["column"]
    if "item" in chosen:
        table["item"] = chosen["item"].name
    table["behavior"] = chosen["behavior"].name if "behavior" in chosen else {"value": "event"}
    for role in _DURATIONS[::-1]:
        if role in chosen:
            table[role] = _seconds(chosen[role])
    return table


def _timestamps(profile: ColumnProfile, time_of_day: ColumnProfile | None) -> list[AnyMapping[str, Any]]:
    """Give the rule of a time; several where its values do not tell which of them is right."""
    rule: dict[str, Any] = {"column": profile.name}
    if time_of_day is not None:
        rule["time"] = time_of_day.name
    if profile.time == "format":
        ending = time_format(time_of_day.texts) or "%H:%M:%S" if time_of_day is not None else None
        zone = {"zone": "UTC"} if profile.names_no_zone else {}
        formats = [format if ending is None else f"{format} {ending}" for format in profile.formats]
        return [{**rule, "format": format, **zone} for format in formats]
    if profile.time is not None and profile.time != "native":
        rule["unit"] = profile.time
    if profile.names_no_zone:
        rule["zone"] = "UTC"
    return [rule]


def _seconds(profile: ColumnProfile) -> str | dict[str, Any]:
    is_ms = profile.name.casefold().endswith(("ms", "millis", "milliseconds"))
    return {"column": profile.name, "unit": "ms"} if is_ms else profile.name


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
