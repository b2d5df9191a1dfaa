"""Exports that were misread once: from the file to the dataset, by what `hup map` proposes."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hup import prepare
from hup.data.tables.mapping import load_mapping

START = 1_604_192_420


@pytest.fixture
def mapped(invoke, tmp_path):
    """Maps a file; gives its table of the mapping, and the dataset that it makes."""

    def run(path):
        out = tmp_path / "mapping.toml"
        done = invoke("map", path, "--out", out)
        assert done.exit_code == 0, done.output
        mapping = load_mapping(out)
        checked = invoke("validate", path, "--map", out)
        assert checked.exit_code == 0, checked.output
        assert "Nothing is wrong." in checked.output
        return mapping, prepare(path, map=out, out=tmp_path / "shop", shares=[1, 0, 0])

    return run


def write(path, header, rows, delimiter=","):
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in (header, *rows)) + "\n", encoding="utf-8")
    return path


def users(dataset):
    return sorted(set(dataset.users.to_pylist()))


def times(dataset):
    first, last = dataset.times
    return first.to_pylist(), last.to_pylist()


def test_client_ids_are_users(tmp_path, mapped):
    names = [f"100000000{n}.160000000{n}" for n in (1, 2)]
    rows = [(names[n // 3], (START + 20 * n) * 10**6, "view_item", f"GGOE{n % 3}") for n in range(6)]
    header = ("user_pseudo_id", "event_timestamp", "event_name", "item_id")
    mapping, dataset = mapped(write(tmp_path / "log.csv", header, rows))
    assert mapping.tables[0].user == ("user_pseudo_id",)
    assert users(dataset) == names


def test_whole_floats_lose_their_point(tmp_path, mapped):
    rows = [(f"{13085 + n // 3}.0", f"{489 + n % 3}.0", f"2024-05-01 07:4{n}:00", "view") for n in range(6)]
    header = ("customer_id", "product_id", "event_time", "event")
    _, dataset = mapped(write(tmp_path / "log.csv", header, rows))
    assert users(dataset) == ["13085", "13086"]
    assert sorted(dataset.item_names) == ["489", "490", "491"]


@pytest.mark.parametrize(
    ("dates", "first_ms"),
    [
        (["12/1/09 7:45", "12/1/09 7:46", "12/13/09 9:06", "12/13/09 9:07"], 1_259_653_500_000),
        (["01.05.2024 09:00", "01.05.2024 09:01", "31.05.2024 09:00", "31.05.2024 09:01"], 1_714_554_000_000),
    ],
)
def test_dates_of_another_order(tmp_path, mapped, dates, first_ms):
    rows = [("ab"[n // 2], 489 + n % 2, date) for n, date in enumerate(dates)]
    _, dataset = mapped(write(tmp_path / "log.csv", ("customer_id", "product_id", "invoice_date"), rows))
    assert times(dataset)[0][0] == first_ms


def test_a_date_and_a_time_are_joined(tmp_path, mapped):
    rows = [(f"aaaa{n // 3}", f"2024-06-2{n // 3}", f"10:0{n}:37", n, f"p{n}") for n in range(6)]
    header = ("COOKIE", "Date", "Time", "Click_order", "Product")
    mapping, dataset = mapped(write(tmp_path / "log.csv", header, rows, ";"))
    assert mapping.tables[0].timestamp.time == ("Time",)
    assert times(dataset) == ([1_718_877_637_000, 1_718_964_217_000], [1_718_877_757_000, 1_718_964_337_000])


def test_a_column_of_nothing_is_no_item_and_a_nearly_empty_one_no_user(tmp_path, mapped):
    rows = [
        ("u7" if n == 3 else "", f"10000000{n // 3:02d}.1700000003", 17 + n // 3, "(not set)", "page_view", page, time)
        for n, (page, time) in enumerate((f"/p{n % 4}", (START + 10 * n) * 10**6 + n) for n in range(9))
    ]
    header = ("user_id", "client_id", "session_id", "session_content", "event_name", "page", "event_timestamp")
    mapping, dataset = mapped(write(tmp_path / "log.csv", header, rows))
    assert (mapping.tables[0].user, mapping.tables[0].item) == (("client_id",), ("page",))
    assert len(users(dataset)) == 3


def test_levels_of_categories(tmp_path, mapped):
    paths = ["Apparel,Men,Shirts", "Apparel,Women,Tops", "Bags,Backpacks,"]
    rows = [(f"u{n // 3}", (START + 20 * n) * 10**6, "view_item", "abc"[n % 3], paths[n % 3]) for n in range(9)]
    header = (
        "user_id",
        "event_timestamp",
        "event_name",
        "item_id",
        "item_category",
        "item_category2",
        "item_category3",
    )
    _, dataset = mapped(write(tmp_path / "log.csv", header, rows))
    assert dataset.levels == 3


def test_chinese_names(tmp_path, mapped):
    rows = [(900_001 + n // 3, 500_001 + n % 4, 70_001 + n % 2, "pv" if n % 2 else "buy", START + n) for n in range(9)]
    mapping, dataset = mapped(
        write(tmp_path / "log.csv", ("用户ID", "商品ID", "商品类目ID", "行为类型", "时间戳"), rows)
    )
    assert mapping.categories.columns == ("商品类目ID",)
    assert {behavior.name for behavior in dataset.manifest.behaviors} == {"pv", "buy"}


def event(n, name, *items):
    params = [{"key": "ga_session_id", "value": {"int_value": str(100 + n // 4)}}]
    keys = ("item_category", "item_category2", "item_category3")
    listed = [{"item_id": f"G{i}", **dict(zip(keys, ("Apparel", f"g{i % 2}", f"f{i}"), strict=True))} for i in items]
    return {
        **{"event_timestamp": (START + n) * 10**6, "event_name": name, "event_params": params},
        **{"user_pseudo_id": f"{n // 8}.123", "user_id": None, "device": {"category": "mobile"}, "items": listed},
    }


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_nested_export_of_ga4(tmp_path, mapped, ending):
    events = [event(n, "view_item", n % 5) if n % 4 else event(n, "session_start") for n in range(16)]
    events.append(event(15, "purchase", 4, 2, 3))
    path = tmp_path / f"events.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(events), path)
    else:
        path.write_text("".join(json.dumps(given) + "\n" for given in events))
    mapping, dataset = mapped(path)
    assert mapping == load_mapping("ga4")
    assert dataset.levels == 3
    assert (users(dataset), len(dataset), len(dataset.item)) == (["0.123", "1.123"], 4, 15)
    assert [dataset.item_names[code] for code in dataset.item[-3:]] == ["G4", "G2", "G3"]


def test_lines_that_end_in_a_carriage_return_alone(tmp_path, invoke):
    (tmp_path / "log.csv").write_bytes(b"visitor_id,visited_at,sku\rann,2024-05-01 09:00:00,lamp\r")
    done = invoke("map", tmp_path / "log.csv")
    assert done.exit_code == 1
    assert "Do lines end in a carriage return alone" in " ".join(done.stderr.split())


def test_a_duration_of_the_session_is_no_dwell(tmp_path, mapped):
    rows = [(f"s{n // 3}", START + 40 * n, "abcd"[n % 4], "view", (95, 12, 301)[n // 3]) for n in range(9)]
    mapping, _ = mapped(write(tmp_path / "log.csv", ("session_id", "time", "item", "kind", "duration_s"), rows))
    assert mapping.tables[0].dwell is None
