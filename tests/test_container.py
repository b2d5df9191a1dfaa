"""The Dockerfile: what it says is sane, and its steps make a HUP that works, here in folders instead of a container."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hup import SimulatorConfig, simulate

# A step that needs to be root, and a system that is nobody's: it is looked at, not taken.
OF_THE_SYSTEM = ("apt-get ", "useradd ")


class Step(NamedTuple):
    instruction: str
    text: str


@pytest.fixture(scope="module")
def steps(root) -> list[Step]:
    return steps_of((root / "Dockerfile").read_text(encoding="utf-8"))


def steps_of(text: str) -> list[Step]:
    """Instructions of a Dockerfile, lines that go on joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [Step(*line.split(maxsplit=1)) for line in lines]


def texts(steps: list[Step], instruction: str) -> list[str]:
    return [step.text for step in steps if step.instruction == instruction]


def copied(steps: list[Step]) -> list[str]:
    """What is copied from the repository."""
    return [path for text in texts(steps, "COPY") if "--from" not in text for path in text.split()[:-1]]


def is_ignored(path: str, rules: list[str]) -> bool:
    """Whether a .dockerignore leaves a path out: the last rule that fits it, or a folder above it, decides."""
    ignored = False
    above = [path, *(str(folder) for folder in Path(path).parents if str(folder) != ".")]
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = [*above, *(Path(one).name for one in above)] if "**/" in rule else above
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


@pytest.fixture(scope="module")
def rules(root) -> list[str]:
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# ---------------------------------------------------------------------- what it says


def test_what_is_copied_is_there_and_is_not_ignored(root, steps, rules):
    assert copied(steps)
    for path in copied(steps):
        assert (root / path).exists(), path
        assert not is_ignored(path, rules), path
    assert not is_ignored("src/hup/presets/best.toml", rules)


def test_all_that_the_package_is_built_from_is_copied(root, steps):
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'^(?:readme|path) = "([^"]+)"|^license-files = \["([^"]+)"\]', project, re.MULTILINE)
    files = [one or other for one, other in named]
    assert len(files) == 3
    for file in [*files, "pyproject.toml"]:
        assert any(file == path or file.startswith(f"{path}/") for path in copied(steps)), file


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "demo/dataset", "shared/data/x.csv", "src/hup/__pycache__/x.pyc"]
)
def test_nothing_else_goes_into_the_image(rules, path):
    assert is_ignored(path, rules)


def test_images_have_a_version_and_are_of_one_python(steps):
    images = [text.split()[0] for text in texts(steps, "FROM")]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:\$\{PYTHON\}-slim-[a-z]+", images[0])
    (python,) = [text.removeprefix("PYTHON=") for text in texts(steps, "ARG") if text.startswith("PYTHON=")]
    assert re.fullmatch(r"3\.1[1-9]", python)


def test_it_works_as_nobody_in_particular_on_a_volume(steps):
    assert texts(steps, "ENTRYPOINT") == ['["hup"]']
    assert texts(steps, "USER") == ["hup"]
    assert texts(steps, "VOLUME") == [texts(steps, "WORKDIR")[-1]] == ["/data"]
    order = [step.instruction for step in steps]
    assert order.index("USER") > max(place for place, one in enumerate(order) if one in ("RUN", "COPY"))


def test_the_system_gets_what_lightgbm_links(steps):
    (apt,) = [text for text in texts(steps, "RUN") if text.startswith("apt-get ")]
    assert "libgomp1" in apt
    assert "--no-install-recommends" in apt
    assert apt.endswith("rm -rf /var/lib/apt/lists/*")


def test_rules_are_read_as_docker_reads_them():
    rules = ["*", "!src", "**/__pycache__"]
    assert is_ignored("data/x.csv", rules)
    assert not is_ignored("src/hup/a.py", rules)
    assert is_ignored("src/hup/__pycache__/a.pyc", rules)
    assert steps_of("# x\nFROM a AS b\nRUN one \\\n    && two\n") == [Step("FROM", "a AS b"), Step("RUN", "one && two")]


# ---------------------------------------------------------------------- what it makes


def commands_of(page: str) -> list[list[str]]:
    """What follows the image's name in the commands that the page shows."""
    lines = re.findall(r'^docker run --rm -v "\$PWD:/data" hup (.+)$', page, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def home(tmp_path) -> Iterator[Path]:
    """Where HUP comes to lie: too large to be kept after the test, as pytest keeps the rest."""
    yield tmp_path / "hup"
    shutil.rmtree(tmp_path / "hup", ignore_errors=True)


@pytest.mark.slow
def test_the_steps_make_a_hup_that_does_what_the_page_says(root, steps, home, tmp_path):
    """The first stage in folders of this machine, with its indexes; then the commands of the page."""
    source, data = (tmp_path / name for name in ("source", "data"))
    source.mkdir()
    data.mkdir()
    for path in copied(steps):
        copy = shutil.copytree if (root / path).is_dir() else shutil.copy
        copy(root / path, source / path)
    outside = {"PATH": f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ['PATH']}"}
    build = without_python(os.environ) | outside | {"HUP_HOME": str(home), "SOURCE": str(source)}
    build["TORCH_INDEX"] = (tmp_path / "none").as_uri()  # what `make venv` installs is small enough for a test
    taken = [text for text in texts(steps, "RUN") if not text.startswith(OF_THE_SYSTEM)]
    assert len(taken) == 2
    for text in taken:
        run(["sh", "-ec", text], source, build)

    inside = {"PATH": f"{home / 'bin'}{os.pathsep}/usr/bin:/bin", "MPLCONFIGDIR": str(tmp_path / "cache")}
    (entry,) = re.findall(r'\["(\w+)"\]', texts(steps, "ENTRYPOINT")[0])
    assert "Usage: hup" in run([entry, "--help"], data, inside)
    simulate(SimulatorConfig(sessions=150, items=40, levels=2, mean_events=8), data / "clicks.csv", format="events")
    commands = commands_of((root / "docs" / "container.md").read_text(encoding="utf-8"))
    assert [command[0] for command in commands] == ["prepare", "train", "recommend"]
    for command in commands:
        fewer = ["--epochs", "1"] if command[0] == "train" else []
        run([entry, *command, *fewer], data, inside)
    assert (data / "recommendations.parquet").is_file()


def without_python(environment: os._Environ[str]) -> dict[str, str]:
    """As a container has it: nothing that leads to the sources or to another environment."""
    return {key: value for key, value in environment.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    found = shutil.which(command[0], path=environment["PATH"])
    assert found is not None, command[0]
    done = subprocess.run(
        [found, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
