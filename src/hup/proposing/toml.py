"""A proposed mapping as TOML with remarks, for the engineer to go on with."""

from __future__ import annotations

from collections.abc import Iterable

from hup.data.tables.mapping import mapping_sections, toml_key, toml_value
from hup.proposing.propose import Choice, Proposal

_REMARK_COLUMN = 44


def proposal_toml(proposal: Proposal, source: str, command: str) -> str:
    """Write a proposal as TOML: what was found with why, what was not as commented-out lines.

    Parameters
    ----------
    proposal : Proposal
        What to write.
    source : str
        What the sample was taken from.
    command : str
        How to go on.

    Returns
    -------
    str
        TOML that `load_mapping` reads, unless `proposal.mapping` is None: then lines are to be filled in first.
    """
    lines = [f"# A mapping for {_printable(source)}, proposed from a sample. Check it, then:", f"#   {command}"]
    if proposal.known_as is not None:
        lines.append(f"# The columns are those of {_known(proposal.known_as)}.")
    lines += [f"# {_printable(remark)}" for remark in proposal.remarks]
    by_role = {choice.role: choice for choice in proposal.choices}
    for title, keys in mapping_sections(dict(proposal.tree)):
        lines += ["", *([title] if title else [])]
        is_table = title == "[[tables]]"
        for key, value in keys.items():
            line = f"{toml_key(key)} = {toml_value(value)}"
            choice = by_role.get(key) if is_table else None
            lines.append(_with_remark(line, choice) if choice is not None and choice.columns else line)
        if is_table:
            lines += _not_found(choice for choice in proposal.choices if choice.role != "categories")
        if title.startswith("[categories]") and "categories" in by_role:
            lines += _category_lines(by_role["categories"])
    return "\n".join(lines) + "\n"


def _known(name: str) -> str:
    return "HUP itself: no mapping is needed" if name == "standard" else f"the built-in mapping {name}"


def _with_remark(line: str, choice: Choice) -> str:
    missing = f" ({missing_shares(choice)} missing)" if max(choice.missing, default=0) > 0 else ""
    return f"{line.ljust(_REMARK_COLUMN)}  # {_printable(choice.why)}: {_printable(choice.examples)}{missing}"


def missing_shares(choice: Choice) -> str:
    """Write which share of each column of a role is missing."""
    return " | ".join(f"{share:.1%}".replace(".0%", "%") for share in choice.missing)


def _not_found(choices: Iterable[Choice]) -> list[str]:
    lines = []
    for choice in choices:
        if choice.readings:
            lines.append(f"# {choice.role}, {_printable(choice.why)}. One of:")
            lines += [f"# {choice.role} = {toml_value(rule)}" for rule in choice.readings]
        elif not choice.columns:
            candidate = choice.candidates[0] if choice.candidates else "…"
            line = f"# {choice.role} = {toml_value(candidate)}"
            lines.append(f"{line.ljust(_REMARK_COLUMN)}  # not found ({choice.why}){_others(choice)}")
    return lines


def _category_lines(choice: Choice) -> list[str]:
    if choice.columns:
        return [f"# {_printable(choice.why)}: {_printable(choice.examples)}"]
    return [
        f"# No category was found{_others(choice)}. One of these, instead of none:",
        '# columns = ["coarse", "fine"]',
        '# column = "path"',
        '# delimiter = "/"',
        "# or a table of items and their categories, under [categories.items]",
    ]


def _others(choice: Choice) -> str:
    return f"; columns left: {', '.join(map(_printable, choice.candidates))}" if choice.candidates else ""


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
