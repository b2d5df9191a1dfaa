"""The public face is frozen: names, signatures, and that importing it is cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import hup

MEMBERS = [
    "Config",
    "Dataset",
    "Event",
    "HUP",
    "HupError",
    "Mapping",
    "Restriction",
    "SimulatorConfig",
    "__version__",
    "append",
    "compare",
    "evaluate",
    "load",
    "prepare",
    "propose_mapping",
    "simulate",
    "stored_events",
    "sweep",
    "validate",
]

# Names of parameters in order; `*` begins those that are given by name.
SIGNATURES = {
    "prepare": "sources * out format map query sequence idle_gap_minutes window last_events dwell_cap_seconds levels "
    "max_reject_share split shares seed engine spark_master memory_limit items items_key overwrite progress",
    "append": "dataset sources * map query max_reject_share engine spark_master memory_limit items items_key progress",
    "validate": "sources * format map query sequence idle_gap_minutes levels max_reject_share engine spark_master "
    "memory_limit progress",
    "evaluate": "model dataset * split candidates last_interval rows batch_size seed progress most_sessions vectors at "
    "metrics",
    "load": "folder",
    "compare": "dataset out * models presets seeds protocol tuning tuning_trained overrides jobs label retry_failed "
    "watcher at metrics",
    "sweep": "dataset out * key values complement preset seeds overrides jobs label watcher",
    "simulate": "config out * format overwrite sessions_per_file progress",
    "stored_events": "data",
    "Dataset.open": "path",
    "Config.preset": "name overrides",
    "Event": "item behavior timestamp categories interval dwell",
    "HUP": "config",
    "HUP.fit": "self dataset * out init resume overwrite observer",
    "HUP.state": "self session earlier",
    "HUP.state_bytes": "self state",
    "HUP.update": "self state event",
    "HUP.profile": "self session now",
    "HUP.recommend": "self session level k now restriction",
    "HUP.recommend_many": "self dataset * users sessions level k restriction show progress",
    "HUP.recommend_stream": "self dataset * users sessions level k restriction show progress",
    "HUP.profiles": "self dataset * users sessions progress",
    "HUP.profile_stream": "self dataset * users sessions progress",
    "HUP.similar": "self name level k restriction",
    "Restriction": "* only exclude within new_only seen",
    "HUP.save_pretrained": "self folder",
    "HUP.from_pretrained": "folder",
}


def parameter_names(member: object) -> str:
    words: list[str] = []
    for parameter in inspect.signature(member).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(parameter.name)
    return " ".join(words)


def test_the_members():
    assert sorted(hup.__all__) == sorted(MEMBERS)
    assert sorted(dir(hup)) == sorted(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_each_member_is_there_and_documented(name):
    member = getattr(hup, name)
    assert member.__doc__


@pytest.mark.parametrize(("name", "expected"), SIGNATURES.items())
def test_signature(name, expected):
    member: object = hup
    for part in name.split("."):
        member = getattr(member, part)
    assert parameter_names(member) == expected


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hup.nothing  # noqa: B018


@pytest.mark.parametrize("statement", ["import hup", "import hup.cli"])
def test_importing_loads_nothing_heavy(statement):
    """`hup --help` must answer at once; torch alone takes seconds."""
    heavy = {"torch", "numpy", "pandas", "pyarrow", "duckdb", "gensim", "scipy", "pydantic"}
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert heavy.isdisjoint(loaded), sorted(heavy.intersection(loaded))


def test_the_package_carries_its_types(root):
    assert (root / "src" / "hup" / "py.typed").is_file()
