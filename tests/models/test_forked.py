"""A model answers in the children of the process that has loaded it, as in the workers of a web server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hup.models.hup.model import HUP

# A long vector takes several threads for certain; that, or anything else, may be done before and after the fork.
ANSWERS = """
import os, signal, sys, threading
import torch, hup

torch.set_num_threads(2)
model = hup.HUP.from_pretrained(sys.argv[1])
event = {"item": sys.argv[2], "behavior": "1"}

def answer():
    torch.exp(torch.zeros(1_000_000)).sum()
    return [one.name for one in model.recommend([event], k=3).ranked]

before = answer()
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for ever ends all the same
        said = [answer()]
        thread = threading.Thread(target=lambda: said.append(answer()))
        thread.start()
        thread.join()
        os._exit(0 if said == [before, before] and torch.get_num_threads() == 1 else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
assert torch.get_num_threads() == 2 and answer() == before
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="systems that fork")
def test_forked_children_answer_as_their_parent(shops, tiny, tmp_path):
    dataset = shops[1]
    HUP(tiny).initialise(dataset).save_pretrained(tmp_path / "model")
    item = dataset.item_name_array[0].as_py()
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS, tmp_path / "model", item],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
