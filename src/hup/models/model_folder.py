"""The model folder: which files it has, and what is said when one of them is missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from hup.errors import HupError
from hup.files import write_aside
from hup.nn.weights import unshared

CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.json"
FORMAT_VERSION = 1


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


def read_config(folder: Path, model: str) -> dict[str, Any]:
    """Read ``config.json``, which is written last and so tells that the folder is complete.

    Raises
    ------
    HupError
        If the folder holds no finished model of this kind and format.
    """
    path = folder / CONFIG
    if not path.is_file():
        command = f"`hup train DATASET --out {folder}"
        if (folder / "checkpoints").is_dir():
            raise HupError(f"Training in {folder} has not finished; go on with {command} --resume`.")
        raise HupError(f"{folder} is not a model folder: it has no {CONFIG}. Make one with {command}`.")
    content = read_json(path)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise HupError(f"{path} has format_version {version}; this version of HUP reads {FORMAT_VERSION}. Train again.")
    if content.get("model") != model:
        raise HupError(f"{path} is of a model {content.get('model')!r}, expected {model!r}.")
    return content


def save_weights(folder: Path, network: nn.Module) -> None:
    """Write ``model.safetensors``."""
    with write_aside(folder / WEIGHTS) as path:
        save_file({name: tensor.contiguous() for name, tensor in unshared(network).items()}, path)


def load_weights(folder: Path, network: nn.Module) -> None:
    """Read ``model.safetensors`` into a network.

    Raises
    ------
    HupError
        If the file is missing, damaged, or of another network.
    """
    own = unshared(network)
    try:
        weights = load_file(folder / WEIGHTS)
        if odd := weights.keys() ^ own.keys():
            raise RuntimeError(f"tensor {min(odd)} is in one of them alone")
        with torch.no_grad():
            for name, tensor in own.items():
                if tensor.shape != weights[name].shape:
                    raise RuntimeError(f"tensor {name} is {list(weights[name].shape)}, expected {list(tensor.shape)}")
                tensor.copy_(weights[name])
    except (OSError, SafetensorError, RuntimeError) as error:
        raise HupError(f"{folder / WEIGHTS} does not fit the model's configuration: {error}") from error
