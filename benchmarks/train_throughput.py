"""Events per second of a training epoch of HUP (preset paper), against one torch.nn.LSTM layer over padded batches.

    python benchmarks/train_throughput.py --sessions 5000 --items 20000 --levels 1

The peer reads the same events through a single LSTM of the same hidden size, and has one cosine loss on its last
output: what a plain sequence model of this size costs. HUP runs K + 2 recurrent layers and attentions.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

import hup
from hup.nn.losses import cosine_proximity
from hup.sessions.batches import batches
from hup.sessions.levels import pyramid_steps
from hup.simulator import SimulatorConfig


def hup_epoch(model: hup.HUP, dataset: hup.Dataset, sessions: np.ndarray, epoch: int) -> tuple[float, int]:
    """Seconds and events of one epoch, the loop's own work without validation and checkpoints."""
    network = model.network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-3, fused=True)
    levels = [level for level in network.level_names if level != "micro"]
    started, events = time.perf_counter(), 0
    for histories, targets in batches(dataset, sessions, 128, shuffle_seed=(0, epoch)):
        optimizer.zero_grad(set_to_none=True)
        profiles = network(histories, pyramid_steps(histories, model.buckets), levels)
        loss = torch.zeros(())
        for level in levels:
            table = network.target_table(level)
            wanted = table(targets.codes(level), targets.categories[:, : len(table.n_ancestors)])
            loss = loss + 0.5 * cosine_proximity(profiles[level].vector, wanted)
        loss.backward()
        optimizer.step()
        events += histories.item.numel()
    return time.perf_counter() - started, events


def lstm_epoch(model: hup.HUP, dataset: hup.Dataset, sessions: np.ndarray, epoch: int) -> tuple[float, int]:
    """Run the peer's epoch over the same batches."""
    hidden = model.config.network.hidden
    items = torch.nn.Embedding(dataset.n_train_items, 53)
    lstm, head = torch.nn.LSTM(53, hidden, batch_first=True), torch.nn.Linear(hidden, 30)
    targets_table = model.network.item_targets
    parameters = [*items.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    started, events = time.perf_counter(), 0
    for histories, targets in batches(dataset, sessions, 128, shuffle_seed=(0, epoch)):
        optimizer.zero_grad(set_to_none=True)
        lengths = histories.offsets.diff()
        padded = pad_sequence(list(histories.item.split(lengths.tolist())), batch_first=True)
        out, _ = lstm(items(padded))
        last = out[torch.arange(len(lengths)), lengths - 1]
        cosine_proximity(head(last), targets_table(targets.item, targets.categories)).backward()
        optimizer.step()
        events += histories.item.numel()
    return time.perf_counter() - started, events


def main() -> None:
    """Simulate, prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("sessions", 5000), ("items", 20_000), ("levels", 1), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        hup.simulate(
            SimulatorConfig(sessions=options.sessions, items=options.items, levels=options.levels, seed=1),
            log,
            format="jd",
        )
        dataset = hup.prepare([log], format="jd", out=Path(folder) / "dataset")
        model = hup.HUP("paper").initialise(dataset)
        sessions = np.asarray(dataset.sessions("train"))
        rates: dict[str, list[float]] = {"HUP": [], "one torch.nn.LSTM": []}
        for epoch in range(options.epochs):
            for name, run in (("HUP", hup_epoch), ("one torch.nn.LSTM", lstm_epoch)):
                seconds, events = run(model, dataset, sessions, epoch)
                rates[name].append(events / seconds)
    ratio = np.median(np.array(rates["one torch.nn.LSTM"]) / np.array(rates["HUP"]))
    print(f"{len(sessions)} sessions, {events} events an epoch, K = {options.levels}, {options.threads} threads, CPU")
    for name, values in rates.items():
        print(f"{name:20} {np.median(values):10,.0f} events/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"HUP costs {ratio:.1f} times the single layer; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
