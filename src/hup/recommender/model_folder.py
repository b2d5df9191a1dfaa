"""The model folder: which files it has, and what is said when one of them is missing or damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hup.errors import HupError, command_line
from hup.files import write_aside
from hup.nn.tables import unshared

CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.json"
FORMAT_VERSION = 6


def write_json(path: Path, tree: dict[str, Any]) -> None:
    """Write one of the folder's JSON files."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the folder's JSON files.

    Raises
    ------
    HupError
        If it is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HupError(f"{path} does not read as JSON ({error}). Train again.") from error
    if not isinstance(content, dict):
        raise HupError(f"{path} does not hold a JSON object. Train again.")
    return content


def read_config(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``config.json``, which is written last and so tells that the folder is complete.

    Raises
    ------
    HupError
        If the folder holds no finished model of this format and, where one is named, kind.
    """
    path = folder / CONFIG
    if not path.is_file():
        command = command_line("hup", "train", "DATASET", "--out", folder)
        if (folder / "checkpoints").is_dir():
            raise HupError(f"Training in {folder} has not finished; go on with `{command} --resume`.")
        raise HupError(f"{folder} is not a model folder: it has no {CONFIG}. Make one with `{command}`.")
    content = read_json(path)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise HupError(f"{path} has format_version {version}; this version of HUP reads {FORMAT_VERSION}. Train again.")
    if kind is not None and content.get("model") != kind:
        raise HupError(f"{path} is of a model {content.get('model')!r}, expected {kind!r}.")
    return content


def save_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write ``model.safetensors``."""
    with write_aside(folder / WEIGHTS) as path:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Give the SHA-256 of some of the folder's files, by name."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def check_digests(folder: Path, written: Mapping[str, str]) -> None:
    """Check that the files are those that were written with the configuration.

    Raises
    ------
    HupError
        If one of them is another one: names and numbers would not belong together.
    """
    for name, digest in digests(folder, written).items():
        if written[name] != digest:
            raise HupError(
                f"{folder / name} is not the file that was saved with {folder / CONFIG}. Copy the whole folder again, "
                "or train again."
            )


@contextmanager
def load_tensors(folder: Path) -> Iterator[dict[str, Tensor]]:
    """Read ``model.safetensors``; the block takes the tensors up, and may say with a RuntimeError what is wrong.

    Raises
    ------
    HupError
        If the file is missing, damaged, or of another model.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise RuntimeError(f"tensor {name} has numbers that are not finite")
        yield tensors
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise HupError(f"{folder / WEIGHTS} does not fit the model's configuration: {error}") from error


def restore_network(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy tensors into a network.

    Raises
    ------
    RuntimeError
        If they are those of another network.
    """
    own = unshared(network)
    if odd := weights.keys() ^ own.keys():
        raise RuntimeError(f"tensor {min(odd)} is in one of them alone")
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != weights[name].shape:
                raise RuntimeError(f"tensor {name} is {list(weights[name].shape)}, expected {list(tensor.shape)}")
            tensor.copy_(weights[name])
