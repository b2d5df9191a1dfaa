"""What a child needs that was forked off a process with a model, as workers of web servers are."""

from __future__ import annotations

import os

import torch


def _one_thread() -> None:
    """Compute on one thread from now on.

    A fork copies none of the threads that torch has computed with. OpenMP, as GNU builds it, does not notice, and a
    child that computes on several threads waits for those for ever. On one thread it needs none of them, and workers
    side by side want one each anyway.
    """
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)
