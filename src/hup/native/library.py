"""Compile a kernel's source once on a machine, keep it, and load it.

A kernel is one ``.cpp`` file of this folder with functions of C linkage, which take plain pointers and sizes. So it is
compiled in seconds, by whatever C++17 compiler is there, for this very processor, and does not depend on the version of
PyTorch. Nothing here must be there: :func:`load` gives None, says so once, and the caller's twin in Python serves.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

_LOG = logging.getLogger(__name__)
_SOURCES = Path(__file__).parent
# No -ffast-math: what is loaded with it changes how the whole process rounds tiny numbers.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-pthread")
_SECONDS = 120  # within which a compiler must end


@functools.cache
def load(name: str) -> ctypes.CDLL | None:
    """Load the kernel ``name``, compiled now if it is not kept from before.

    Compiled kernels are kept in ``$XDG_CACHE_HOME/hup`` (``~/.cache/hup``); where that cannot be written, each process
    compiles its own. ``HUP_NATIVE=0`` leaves all of them out; ``CXX`` names the compiler.

    Parameters
    ----------
    name : str
        Of a source ``NAME.cpp`` in this folder.

    Returns
    -------
    CDLL or None
        None where there is no compiler, it fails, or kernels are turned off.
    """
    if os.environ.get("HUP_NATIVE") == "0":
        return None
    compiler = _compiler()
    if compiler is None:
        _say_once("No C++ compiler is there (c++, g++ or clang++, or what CXX names)")
        return None
    try:
        try:
            return _kept(name, compiler)
        except OSError as error:
            _LOG.debug("%s is not kept: %s", name, error)
        # Nowhere to keep it. What is loaded stays so when its file is gone.
        with tempfile.TemporaryDirectory(prefix="hup-") as folder:
            made = Path(folder) / f"{name}.so"
            _compile(name, compiler, made)
            return ctypes.CDLL(str(made))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        _say_once(f"{compiler} did not compile {name}.cpp: {said.strip()[-2000:]}")
        return None


def _kept(name: str, compiler: str) -> ctypes.CDLL:
    """Load what is kept, or compile and keep it."""
    kept = _cache() / f"{name}-{_digest(name, compiler)}.so"
    if kept.exists():
        try:
            return ctypes.CDLL(str(kept))
        except OSError:  # cut short, or of another system that shares the home
            pass
    _compile(name, compiler, kept)
    return ctypes.CDLL(str(kept))


def _compiler() -> str | None:
    named = os.environ.get("CXX")
    return next(filter(None, map(shutil.which, [named] if named else ["c++", "g++", "clang++"])), None)


def _cache() -> Path:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hup"
    except RuntimeError as error:  # a user without a home
        raise OSError(str(error)) from error


def _digest(name: str, compiler: str) -> str:
    """Tell apart all that makes a compiled kernel another one: its sources, the compiler, the processor."""
    parts = [(_SOURCES / f"{name}.cpp").read_bytes(), *(path.read_bytes() for path in sorted(_SOURCES.glob("*.hpp")))]
    parts += [" ".join(_FLAGS).encode(), os.path.realpath(compiler).encode(), _processor().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    """Name what ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    able = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.system()} {platform.machine()} {able}"


def _compile(name: str, compiler: str, to: Path) -> None:
    """Compile aside, then rename: processes that begin at once may all do it, and none sees half a file."""
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".compiling-") as folder:
        made = Path(folder) / to.name
        command = [compiler, *_FLAGS, str(_SOURCES / f"{name}.cpp"), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
        made.replace(to)


@functools.cache
def _say_once(why: str) -> None:
    _LOG.warning("%s. Everything works without, but training and live answers take several times as long.", why)
