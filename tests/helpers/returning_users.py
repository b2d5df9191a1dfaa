"""A log of users who come back, and what each session's user had done before, found by a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import hup
from hup.data.dataset import Dataset


def returning_users(
    folder: Path, *, users: int = 12, sessions: int = 8, seed: int = 3, overlapping: float = 0.2
) -> Dataset:
    """Prepare a log in which every user has several sessions; a share of them overlaps with the next."""
    rng = np.random.default_rng(seed)
    lines = ["user,session,timestamp,item,behavior,dwell,category_1,category_2"]
    for user in range(users):
        clock = int(rng.integers(0, 10_000))
        for number in range(sessions):
            begin = clock
            for _ in range(int(rng.integers(2, 9))):
                item = int(rng.integers(0, 30))
                dwell = int(rng.integers(1, 60))
                behavior = "view" if rng.random() < 0.7 else "cart"
                row = (f"u{user}", f"u{user}-{number}", 1_700_000_000 + clock, f"i{item}", behavior, dwell)
                lines.append(",".join(map(str, (*row, f"c{item % 3}", f"c{item % 9}"))))
                clock += dwell
            # Every fifth session, or as is asked for, begins while the one before goes on.
            clock = begin + 5 if rng.random() < overlapping else clock + int(rng.integers(1000, 100_000))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return hup.prepare(folder / "log.csv", format="events", out=folder / "dataset")


def before(dataset: Dataset, session: int) -> list[int]:
    """Sessions that the user had before, oldest first, each of which had ended when the next one began."""
    found: list[int] = []
    while True:
        began = dataset.session_times(session)[0]
        ended = [
            (dataset.session_times(other)[1], other)
            for other in range(len(dataset))
            if dataset.session_user(other) == dataset.session_user(session) and dataset.session_times(other)[1] < began
        ]
        if not ended:
            return found[::-1]
        session = max(ended)[1]
        found.append(session)
