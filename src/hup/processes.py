"""Processes that train or evaluate one model together, as ``torchrun`` starts them; one alone is the first of one.

The first process does what has to be done once, and tells the others. Wherever one waits for the others, all of them
come by, in the same order.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from hup.errors import HupError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

Told = TypeVar("Told")
#: The first process may count and fit for hours while others wait. One that dies is noticed at once, by its connection.
_LONGEST_WAIT = timedelta(days=2)
_alone = False
_others_ended = False


class OtherEndedError(HupError):
    """Another process of the run has ended, so that this one cannot go on."""

    def __init__(self) -> None:
        super().__init__(
            "Another process of this run has ended, so this one ends, too: it failed, was killed, or ran out of "
            "memory. A training goes on from its last checkpoint with the same command."
        )


def together() -> bool:
    """Tell whether ``torchrun`` has started this process together with others; needs no torch."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def size() -> int:
    """Count the processes that work together now."""
    return int(os.environ["WORLD_SIZE"]) if together() and not _alone else 1


def number() -> int:
    """Give the place of this process among all, from 0."""
    return int(os.environ["RANK"]) if together() else 0


def is_first() -> bool:
    """Tell whether this is the process that writes files and speaks."""
    return number() == 0


def place_on_machine() -> int:
    """Give the place of this process among those of its machine, from 0: the GPU that it has."""
    return int(os.environ.get("LOCAL_RANK", "0")) if together() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Work for the length of a block as if there were no others; they do not come by."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def share(values: Sequence[Told]) -> Sequence[Told]:
    """Give every process its own of some values, each to one process; all of them to a process alone."""
    return values[number() :: size()] if size() > 1 else values


# ---------------------------------------------------------------------- what the first one tells the others


def told(tell: Callable[[], Told]) -> Told:
    """Let the first process work something out that JSON can hold, and tell the others."""
    if size() == 1:
        return tell()
    said = _bytes_told(json.dumps(tell()).encode() if is_first() else b"")
    content: Told = json.loads(said)
    return content


def tensors_told(tell: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Let the first process make tensors, whose names and shapes only it knows, and give them to the others."""
    if size() == 1:
        return tell()
    from safetensors.torch import load, save

    made = {name: tensor.contiguous() for name, tensor in tell().items()} if is_first() else {}
    said = _bytes_told(save(made) if is_first() else b"")
    return made if is_first() else load(said)


def copy_first(tensors: Iterable[Tensor]) -> None:
    """Give tensors that every process has the values that the first one has."""
    import torch

    if size() == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            if tensor.numel():
                sent = tensor.detach().clone(memory_format=torch.contiguous_format)
                _broadcast(sent.view(torch.uint8) if sent.dtype is torch.bool else sent)
                tensor.copy_(sent)


def drawn(codes: Tensor) -> Tensor:
    """Take the codes ``(m,)`` that the first process has drawn for a batch: all processes have the same ones."""
    if size() > 1:
        _broadcast(codes)
    return codes


# ---------------------------------------------------------------------- what all of them have together


def summed(values: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    if size() > 1:
        from torch import distributed

        _join()
        with _noticing():
            distributed.all_reduce(values)
    return values


def gathered(codes: Tensor) -> Tensor:
    """Join the codes ``(m,)`` that each process has, first process first; their numbers may differ."""
    if size() == 1:
        return codes
    import torch

    counts = torch.zeros(size(), dtype=torch.long, device=codes.device)
    counts[number()] = len(codes)
    ends = summed(counts).cumsum(0).tolist()
    joined = codes.new_zeros(ends[-1])
    joined[ends[number()] - len(codes) : ends[number()]] = codes
    return summed(joined)


# ---------------------------------------------------------------------- errors


def speaks() -> bool:
    """Tell whether this process is the one that says why all of them end: the first that has failed."""
    if not together():
        return True
    try:
        first = _store().add(f"hup/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1
    except Exception:  # whoever kept the store is gone; rather twice than not at all
        return True
    return first


@contextmanager
def _noticing() -> Iterator[None]:
    """Turn what the backend says into an error for people."""
    global _others_ended
    try:
        yield
    except RuntimeError as error:
        _others_ended = True
        raise OtherEndedError from error


def _broadcast(tensor: Tensor) -> None:
    from torch import distributed

    _join()
    with _noticing():
        distributed.broadcast(tensor, 0)


def _bytes_told(content: bytes) -> bytes:
    import torch

    length = torch.tensor([len(content)])
    _broadcast(length)
    data = (
        torch.frombuffer(bytearray(content), dtype=torch.uint8)
        if content
        else torch.empty(int(length), dtype=torch.uint8)
    )
    _broadcast(data)
    return data.numpy().tobytes()


@cache
def _store() -> Store:
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://"))[0]
    return store


def _join() -> None:
    """Find the others, once."""
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(place_on_machine() % torch.cuda.device_count())
    with _noticing():
        distributed.init_process_group(backend, store=_store(), rank=number(), world_size=size(), timeout=_LONGEST_WAIT)
    atexit.register(_part)
    if threading.current_thread() is threading.main_thread():
        # torchrun ends the others where one of them has ended.
        signal.signal(signal.SIGTERM, _ended)


def _part() -> None:
    """End the threads of the backend while Python can still give them its lock: one that asks later aborts all."""
    from torch import distributed

    if not _others_ended and distributed.is_initialized():
        distributed.destroy_process_group()


def end_at_once(code: str | int | None) -> NoReturn:
    """End without Python's own end, in which a thread that asks for its lock may still abort a finished run."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _ended(number: int, frame: Any) -> NoReturn:
    global _others_ended
    _others_ended = True
    raise OtherEndedError
