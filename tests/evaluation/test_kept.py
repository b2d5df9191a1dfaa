"""What an evaluation left behind gives it back."""

from __future__ import annotations

import numpy as np
import pytest

from hup.errors import HupError
from hup.evaluation import Evaluation, evaluate, read_evaluation
from hup.recommender.recency import Recency


@pytest.fixture(scope="module", params=["K=1, bare", "K=3, bare"])
def found(request, bare_shops) -> Evaluation:
    """Of a log where some, or all, targets have no category."""
    shop = bare_shops[request.param]
    return evaluate(Recency().fit(shop), shop, rows=("popularity",), seed=3)


def test_it_is_the_same_again(found, tmp_path):
    found.write_json(tmp_path / "kept.json")
    found.write_ranks(tmp_path / "kept.parquet")
    again = read_evaluation(tmp_path / "kept.json")
    assert (again.dataset, again.protocol, again.session_names, again.seed) == (
        *(found.dataset, found.protocol, found.session_names, 3),
    )
    np.testing.assert_array_equal(again.sessions, found.sessions)
    np.testing.assert_equal(again.ranks, found.ranks)
    np.testing.assert_equal(again.repeat, found.repeat)
    assert again.rows == found.rows
    assert again.at(7, metrics=["ndcg"]).rows == found.at(7, metrics=["ndcg"]).rows


def test_what_is_not_there_or_broken_is_told(found, tmp_path):
    with pytest.raises(HupError, match=r"There is no .*kept\.json"):
        read_evaluation(tmp_path / "kept.json")
    found.write_json(tmp_path / "kept.json")
    with pytest.raises(HupError, match=r"There is no .*kept\.parquet"):
        read_evaluation(tmp_path / "kept.json")
    (tmp_path / "kept.parquet").write_text("nothing")
    with pytest.raises(HupError, match="do not read as an evaluation"):
        read_evaluation(tmp_path / "kept.json")
    found.write_ranks(tmp_path / "kept.parquet")
    for content in ("{}", "[]", "{", '{"rows": {}, "protocol": {}, "dataset": ""}'):
        (tmp_path / "kept.json").write_text(content)
        with pytest.raises(HupError, match="do not read as an evaluation"):
            read_evaluation(tmp_path / "kept.json")
