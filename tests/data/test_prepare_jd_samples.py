"""The two real JD samples, against what their README and a plain count say."""

from collections import Counter

import pytest

from hup.data.prepare import prepare

SAMPLES = {
    "appliances.txt": {"sessions": 1000, "events": 57_332, "items": 9_134, "categories": [71]},
    "computers.txt": {"sessions": 1000, "events": 43_014, "items": 9_289, "categories": [77]},
}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_counts(shared_data, tmp_path, name):
    source = shared_data / "jd" / name
    dataset = prepare(source, out=tmp_path / "out")
    counts = dataset.manifest.counts
    assert counts.model_dump(include=set(SAMPLES[name])) == SAMPLES[name]
    assert dataset.manifest.rejects.rows == 0
    tokens = [line.split() for line in source.read_text().splitlines()]
    codes = Counter(token.split("+")[1] for line in tokens for token in line)
    assert counts.events_by_behavior == [codes[str(code)] for code in range(1, 11)]
    names = dataset.item_names
    assert [names[item] for item in dataset.item] == [token.split("+")[0] for line in tokens for token in line]
    leaves = [dataset.taxonomy.names[0][code] for code in dataset.taxonomy.paths[dataset.item, 0]]
    assert leaves == [token.split("+")[2] for line in tokens for token in line]
    assert dataset.interval.tolist() == [float(token.split("+")[3]) for line in tokens for token in line]
    assert dataset.dwell.tolist() == [float(token.split("+")[4]) for line in tokens for token in line]
    assert (dataset.offsets[1:] - dataset.offsets[:-1]).tolist() == [len(line) for line in tokens]


def test_both_at_once(shared_data, tmp_path):
    dataset = prepare(shared_data / "jd", out=tmp_path / "out")
    assert len(dataset) == 2000
    assert dataset.manifest.counts.events == 57_332 + 43_014
    assert dataset.session_name(1000) == "computers.txt:1"
