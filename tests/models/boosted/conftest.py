"""Quick options, what is counted with them, and queries of test sessions."""

from __future__ import annotations

import numpy as np
import pytest

from hup.data.dataset import Dataset
from hup.models.boosted.counted import Counted
from hup.models.boosted.options import LightGBMConfig
from hup.models.boosted.queries import Queries
from hup.models.hup.mixture.visits import run_table
from hup.recommender.vocabulary import Vocabulary
from hup.sessions.batches import histories_and_targets
from hup.sessions.levels import ITEM


@pytest.fixture(scope="session")
def quick() -> LightGBMConfig:
    return LightGBMConfig(folds=3, vector_epochs=1, vector_size=4, trees=20, patience=5, neighbors=20, candidates=40)


@pytest.fixture(scope="session")
def vocabulary(dataset) -> Vocabulary:
    return Vocabulary.of(dataset)


@pytest.fixture(scope="session")
def counted(dataset, vocabulary, quick) -> Counted:
    return Counted.of(dataset, vocabulary, quick, ITEM)


@pytest.fixture(scope="session")
def queries(dataset, quick) -> Queries:
    """Ends of test sessions, some of which hold items that training never saw."""
    return queries_of(dataset, dataset.sessions("test"), quick)


def queries_of(dataset: Dataset, sessions: range, config: LightGBMConfig) -> Queries:
    histories = histories_and_targets(dataset, np.asarray(sessions))[0]
    return Queries.of(run_table(histories, len(dataset.behaviors)), config.visits)
