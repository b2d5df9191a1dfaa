"""``hup`` in one of several processes, of which one fails in its third batch.

``python -m torch.distributed.run --nproc-per-node 2 -m tests.helpers.failing_process NUMBER train …``
"""

from __future__ import annotations

import sys
from itertools import count

import hup
from hup import processes
from hup.cli import main
from hup.errors import HupError

if __name__ == "__main__":
    number = int(sys.argv.pop(1))
    losses, batches = hup.HUP.losses, count(1)

    def failing(self, histories, targets):
        if next(batches) == 3 and processes.number() == number:
            raise HupError(f"Process {number} fails.")
        return losses(self, histories, targets)

    hup.HUP.losses = failing
    main()
