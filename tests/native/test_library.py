"""Kernels are compiled once, found again, and never needed."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys

import pytest

from hup.native import library

SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder with one kernel, and an empty cache."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "answer.cpp").write_text(SOURCE)
    monkeypatch.setattr(library, "_SOURCES", folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HUP_NATIVE", raising=False)
    yield folder
    library._say_once.cache_clear()


def load(name: str) -> ctypes.CDLL | None:
    return library.load.__wrapped__(name)


needs_compiler = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler is there")


@needs_compiler
@pytest.mark.parametrize("name", sorted(path.stem for path in library._SOURCES.glob("*.cpp")))
def test_all_kernels_compile(name):
    """Or their twins in Python would serve, and nobody would see why it is slow."""
    assert library.load(name) is not None


@needs_compiler
def test_it_is_compiled_once_and_found_again(sources, tmp_path, monkeypatch):
    kernel = load("answer")
    assert kernel is not None
    assert kernel.answer() == 42
    assert [path.suffix for path in (tmp_path / "cache" / "hup").iterdir()] == [".so"], "nothing else is left"
    monkeypatch.setattr(library, "_compile", lambda *_: pytest.fail("it was kept"))
    assert load("answer") is not None


@needs_compiler
def test_another_source_is_another_kernel(sources, tmp_path):
    load("answer")
    (sources / "shared.hpp").write_text("// what kernels share")
    load("answer")
    assert len(list((tmp_path / "cache" / "hup").iterdir())) == 2


@needs_compiler
def test_what_is_kept_and_cannot_be_loaded_is_made_anew(sources, tmp_path):
    kept = tmp_path / "cache" / "hup" / f"answer-{library._digest('answer', library._compiler())}.so"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a fi")
    kernel = load("answer")
    assert kernel is not None
    assert kernel.answer() == 42


def test_without_a_compiler_it_is_said_once(sources, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with caplog.at_level(logging.WARNING, logger="hup"):
        assert load("answer") is None
        assert load("answer") is None
    assert len(caplog.records) == 1
    assert "No C++ compiler is there" in caplog.text


@needs_compiler
def test_what_does_not_compile_is_said_with_the_compilers_words(sources, caplog):
    (sources / "answer.cpp").write_text("int answer( {")
    with caplog.at_level(logging.WARNING, logger="hup"):
        assert load("answer") is None
    assert "did not compile answer.cpp" in caplog.text
    assert "error" in caplog.text


@needs_compiler
def test_without_a_place_to_keep_it_each_process_compiles_its_own(sources, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder would be")
    with caplog.at_level(logging.WARNING, logger="hup"):
        kernel = load("answer")
    assert kernel is not None
    assert kernel.answer() == 42
    assert not caplog.records


@needs_compiler
def test_a_user_without_a_home_has_kernels(sources, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(library.Path, "home", no_home)
    assert load("answer") is not None


def test_kernels_can_be_turned_off(sources, monkeypatch, caplog):
    monkeypatch.setenv("HUP_NATIVE", "0")
    assert load("answer") is None
    assert not caplog.records


@needs_compiler
def test_processes_that_begin_at_once_all_get_it(sources, tmp_path):
    script = (
        "from pathlib import Path; from hup.native import library;"
        f"library._SOURCES = Path({str(sources)!r}); print(library.load('answer').answer())"
    )
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [one.communicate()[0] for one in running] == ["42\n"] * 3
    assert len(list((tmp_path / "cache" / "hup").iterdir())) == 1
