"""Time forward + backward of a Behavior-LSTM layer against torch.nn.LSTM of the same sizes and a plain autograd loop.

    python benchmarks/behavior_lstm.py --batch 128 --steps 40

Prints the median over rounds of each, and the ratio to torch.nn.LSTM taken round by round, so that a machine whose
speed drifts does not tilt it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

# As the command line sets it, before PyTorch is loaded: its threads would spin while those of the kernel compute.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import torch
from torch import Tensor

from hup.nn import BehaviorLSTM
from hup.nn.kernels import reference


def seconds(run: Callable[[], None]) -> float:
    """Time one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 128), ("steps", 40), ("input", 53), ("hidden", 100), ("signal", 5), ("rounds", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    batch, steps = options.batch, options.steps
    layer = BehaviorLSTM(options.input, options.hidden, options.signal, options.signal)
    peer = torch.nn.LSTM(options.input, options.hidden, batch_first=True)
    x = torch.randn(batch, steps, options.input, requires_grad=True)
    interval, behavior = (torch.randn(batch, steps, options.signal) for _ in range(2))
    commit = torch.rand(batch, steps) < 0.6

    def flat(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1).reshape(steps * batch, -1)

    def plain_loop() -> None:
        gates, scale = layer.project(flat(x), flat(interval), flat(behavior))
        zeros = x.new_zeros(batch, options.hidden)
        out, _ = reference.behavior_lstm(gates, scale, layer.weight_hidden, zeros, zeros, [batch] * steps)
        out.sum().backward()

    runs: dict[str, Callable[[], None]] = {
        "torch.nn.LSTM": lambda: peer(x)[0].sum().backward(),
        "Behavior-LSTM": lambda: layer(x, interval, behavior)[0].sum().backward(),
        "Behavior-LSTM, commit mask": lambda: layer(x, interval, behavior, commit)[0].sum().backward(),
        "Behavior-LSTM, plain autograd loop": plain_loop,
    }
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    print(f"batch {batch}, {steps} steps, {options.input} -> {options.hidden}, {options.threads} threads, CPU")
    base = times["torch.nn.LSTM"]
    for name, taken in times.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(taken, base, strict=True))
        print(f"{name:36} {1e3 * statistics.median(taken):8.2f} ms   {ratio:5.2f} x torch.nn.LSTM")


if __name__ == "__main__":
    main()
