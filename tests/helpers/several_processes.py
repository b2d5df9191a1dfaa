"""What one process and two do alike: models that are trained and judged. As a program, the part of two.

``python -m torch.distributed.run --nproc-per-node 2 -m tests.helpers.several_processes DATASET OUT MODEL …``
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import distributed

import hup
from hup import processes
from hup.evaluation import evaluate
from hup.recommender.kinds import model_class
from hup.training.trained import TrainedRecommender

EPOCHS = 2
_PYRAMID = ("network.hidden=12", "embeddings.item=8", "embeddings.category=4", "network.dropout=0.0")
_SMALL = ("network.hidden=12", "network.dropout=0.0", "training.batch_size=32")


def _hup(preset: str, *overrides: str) -> Callable[[], TrainedRecommender]:
    return lambda: hup.HUP(hup.Config.preset(preset, [*_PYRAMID, f"training.epochs={EPOCHS}", *overrides]))


def _baseline(kind: str, *overrides: str) -> Callable[[], TrainedRecommender]:
    def make() -> TrainedRecommender:
        of_kind = model_class(kind)
        model = of_kind(of_kind.options().changed([f"training.epochs={EPOCHS}", *overrides]))
        assert isinstance(model, TrainedRecommender)
        return model

    return make


#: Dropout is off: what it draws depends on how a batch is shared.
MODELS: dict[str, Callable[[], TrainedRecommender]] = {
    # 140 training sessions: the second batch has one, which is less than there are processes.
    "paper": _hup("paper", "embeddings.skipgram_epochs=2", "training.batch_size=139"),
    "best": _hup("best", "mixture.negatives=16"),
    "gru4rec": _baseline("gru4rec", "network.negatives=8", *_SMALL),
    "time-lstm": _baseline("time-lstm", *_SMALL),
    "sasrec": _baseline("sasrec", *_SMALL),
    "rib": _baseline("rib", "network.hidden=12", "embeddings.skipgram_epochs=2"),
    "s-hrnn": _baseline("s-hrnn", "network.loss='cross_entropy'", *_SMALL),
}


def fit_and_judge(name: str, dataset: hup.Dataset, out: Path) -> None:
    """Train into ``out/name``, and leave the figures of the test split in ``out/name.json``."""
    model = MODELS[name]()
    model.fit(dataset, out=out / name)
    judged = evaluate(model, dataset, batch_size=8, metrics=("recall", "mrr", "coverage"))
    if processes.is_first():
        judged.write_json(out / f"{name}.json")
        judged.write_ranks(out / f"{name}.parquet")


def losses(folder: Path) -> list[dict[str, float]]:
    """Losses of every epoch by level, from a log."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def torchrun(*arguments: str, processes: int = 2) -> list[str]:
    """Command that starts a module in several processes."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", *arguments),
    ]


def run(command: Sequence[str], root: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository's root with the code of this checkout."""
    source = os.pathsep.join(filter(None, [str(root / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": source}, capture_output=True, text=True, timeout=timeout
    )


def _note_parting(out: Path) -> None:
    """Leave a file if the threads of the backend have ended before Python does."""
    if not distributed.is_initialized():
        (out / f"parted-{processes.number()}").touch()


def _resume(dataset: hup.Dataset, folder: Path) -> None:
    model = MODELS["paper"]()
    model.config = model.config.changed([f"training.epochs={2 * EPOCHS}"])
    model.fit(dataset, out=folder, resume=True)


if __name__ == "__main__":
    given, target = hup.Dataset.open(sys.argv[1]), Path(sys.argv[2])
    atexit.register(_note_parting, target)  # what is registered first is called last
    for each in sys.argv[3:]:
        fit_and_judge(each, given, target)
    if (target / "begun-by-one").is_dir():
        _resume(given, target / "begun-by-one")
    atexit._run_exitfuncs()  # as Python does; then as the command line does
    processes.end_at_once(0)
