"""Recency on the real samples: items against an independent run of the protocol, categories against plain loops."""

from __future__ import annotations

import pytest

from hup.data.prepare import prepare
from hup.evaluation import evaluate
from hup.recommender.recency import Recency


@pytest.mark.parametrize(
    ("sample", "item", "category"),
    [("appliances", (0.585, 0.331), (0.930, 0.875)), ("computers", (0.435, 0.191), (0.935, 0.832))],
)
def test_recency(shared_data, tmp_path, sample, item, category):
    dataset = prepare(shared_data / "jd" / f"{sample}.txt", format="jd", out=tmp_path / "dataset")
    found = evaluate(Recency().fit(dataset), dataset)
    assert len(found.sessions) == 200
    figures = found.rows["recency"]
    assert (figures["item"]["recall@20"], figures["item"]["mrr@20"]) == pytest.approx(item, abs=0.0005)
    assert (figures["category_1"]["recall@5"], figures["category_1"]["mrr@5"]) == pytest.approx(category, abs=0.0005)
    low, high = figures["item"]["recall@20_interval"]
    assert low < item[0] < high
    assert figures["item"]["ceiling"] < 1
    assert found.rows["popularity"]["item"]["recall@20"] < 0.1
