"""`prepare` on small logs in the shapes of well-known public ones, by their built-in mappings."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from hup.data.prepare import prepare
from hup.data.taxonomy import NO_CATEGORY
from hup.errors import HupError

ALL_TRAIN = (1, 0, 0)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def paths(dataset):
    """Category path of each item by name."""
    tree = dataset.taxonomy
    return {
        name: tree.path_names(tree.levels, int(tree.paths[code, -1])) for code, name in enumerate(dataset.item_names)
    }


def test_rees46(tmp_path):
    source = write(
        tmp_path / "2019-Oct.csv",
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
        "2019-10-01 00:00:00 UTC,view,1,11,electronics.smartphone,acme,9.90,500,aa",
        "2019-10-01 00:00:20 UTC,cart,1,11,electronics.smartphone,acme,9.90,500,aa",
        "2019-10-01 00:00:30 UTC,view,2,12,appliances.environment.water_heater,,5.00,500,aa",
        "2019-10-01 00:00:35 UTC,view,3,13,,,1.00,500,aa",
        "2019-10-01 00:01:00 UTC,view,4,14,computers.components.videocards.rtx,,7.00,501,bb",
        "2019-10-01 00:01:10 UTC,purchase,1,11,electronics.smartphone,acme,9.90,501,bb",
    )
    dataset = prepare(source, map="rees46", out=tmp_path / "out", shares=ALL_TRAIN)
    assert paths(dataset) == {
        "1": ("electronics", "smartphone", "smartphone"),
        "2": ("appliances", "environment", "water_heater"),
        "3": (NO_CATEGORY,) * 3,
        "4": ("computers", "components", "videocards"),
    }
    np.testing.assert_array_equal(dataset.interval, np.float32([20, 10, 5, np.nan, 10, np.nan]))
    tree = dataset.manifest.tree
    assert (tree.items_without_category, tree.items_extended, tree.items_cut) == (1, 1, 1)
    assert [behavior.name for behavior in dataset.behaviors] == ["view", "cart", "purchase"]


def test_trivago(tmp_path):
    source = write(
        tmp_path / "train.csv",
        "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices",
        '"U1","S1",1541030408,1,"search for poi","Newtown","AU","Sydney, Australia","mobile","","",""',
        '"U1","S1",1541030460,2,"interaction item image","109038","AU","Sydney, Australia","mobile","","",""',
        '"U1","S1",1541030460,10,"clickout item","666856","AU","Sydney, Australia","mobile","","109038|666856","90|80"',
        '"U1","S1",1541030460,3,"interaction item image","109038","AU","Sydney, Australia","mobile","","",""',
        '"U1","S1",1541030465,11,"search for item","unknown","AU","Sydney, Australia","mobile","","",""',
        '"U1","S1",1541030470,12,"clickout item","7","AU","London, Ontario, Canada","mobile","","",""',
    )
    dataset = prepare(source, map="trivago", out=tmp_path / "out", shares=ALL_TRAIN, max_reject_share=0.5)
    assert dataset.item_names == ["109038", "666856", "7"]  # steps count as numbers
    assert paths(dataset)["7"] == ("Canada", "London, Ontario")
    assert dataset.manifest.left_out == {"behavior is not one to keep": 1}
    assert dataset.manifest.rejects.by_reason == {"item is missing": 1}


def test_retailrocket(tmp_path):
    folder = tmp_path / "rr"
    write(
        folder / "events.csv",
        "timestamp,visitorid,event,itemid,transactionid",
        "1433221332117,7,view,10,",
        "1433221392117,7,addtocart,20,",
        "1433221492117,7,transaction,20,4000",
        "1433299992117,7,view,30,",
        "1433299999117,7,view,10,",
    )
    write(folder / "category_tree.csv", "categoryid,parentid", "1,", "2,1", "3,2", "8,9", "9,8")
    write(
        folder / "item_properties_part1.csv",
        "timestamp,itemid,property,value",
        "1433000000000,10,categoryid,3",
        "1433000000000,10,888,1116713",
        "1433000000000,20,categoryid,2",
        "1433250000000,20,categoryid,9",
    )
    write(folder / "item_properties_part2.csv", "timestamp,itemid,property,value", "1433000000000,40,categoryid,3")
    dataset = prepare(folder, map="retailrocket", out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.levels == 3
    assert paths(dataset) == {"10": ("1", "2", "3"), "20": ("1", "2", "2"), "30": (NO_CATEGORY,) * 3}
    assert [dataset.session_name(session) for session in range(len(dataset))] == ["7#1", "7#2"]
    assert dataset.manifest.tree.cycles == 1
    assert [source.file for source in dataset.manifest.sources] == ["events.csv"]


def test_retailrocket_item_that_moves_takes_the_category_of_each_time(tmp_path):
    folder = tmp_path / "rr"
    day = 86_400_000
    rows = [f"{1_433_000_000_000 + n * 1000 + (n > 2) * 9 * day},7,view,{10 if n % 2 else 20}," for n in range(9)]
    write(folder / "events.csv", "timestamp,visitorid,event,itemid,transactionid", *rows)
    write(folder / "category_tree.csv", "categoryid,parentid", "1,", "2,")
    write(
        folder / "item_properties_part1.csv",
        "timestamp,itemid,property,value",
        "1433000000999,10,categoryid,1",
        f"{1_433_000_000_000 + 5 * day},10,categoryid,2",
        "1433000000000,20,categoryid,1",
    )
    dataset = prepare(folder, map="retailrocket", out=tmp_path / "out", shares=ALL_TRAIN)
    assert paths(dataset) == {"10": ("2",), "20": ("1",)}  # 3 of its 4 events came after the move
    assert (dataset.manifest.tree.items_moved, dataset.manifest.tree.events_moved) == (1, 1)


def test_taobao(tmp_path):
    source = write(
        tmp_path / "UserBehavior.csv",
        "1,2268318,2520377,pv,1511544070",
        "1,2333346,2520771,pv,1511561733",
        "1,2576651,149192,buy,1511561800",
        "2,2268318,2520377,cart,1511544070",
        "2,2333346,2520771,fav,1511544170",
    )
    dataset = prepare(source, map="taobao", out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.levels == 1
    assert [dataset.session_name(session) for session in range(len(dataset))] == ["2", "1#2"]
    assert paths(dataset)["2268318"] == ("2520377",)


def test_yoochoose(tmp_path):
    clicks = write(
        tmp_path / "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0",
        "1,2014-04-07T10:54:09.868Z,214536500,S",
        "2,2014-04-07T13:56:37.614Z,214662742,5",
        "2,2014-04-07T13:57:19.373Z,214662742,5",
    )
    buys = write(tmp_path / "yoochoose-buys.dat", "2,2014-04-07T13:59:19.373Z,214536500,12462,1")
    dataset = prepare([clicks, buys], map="yoochoose", out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.offsets.tolist() == [0, 2, 5]
    assert paths(dataset) == {"214536502": (NO_CATEGORY,), "214536500": ("S",), "214662742": ("5",)}
    assert [dataset.behaviors[code].name for code in dataset.behavior] == ["click"] * 4 + ["buy"]
    np.testing.assert_allclose(dataset.interval[[0, 2, 3]], [180.591, 41.759, 120], rtol=1e-5)


def test_diginetica(tmp_path):
    folder = tmp_path / "dn"
    write(
        folder / "train-item-views.csv",
        "sessionId;userId;itemId;timeframe;eventdate",
        "1;NA;81766;526309;2016-05-09",
        "1;NA;31331;1031018;2016-05-09",
        "1;NA;32118;243569;2016-05-09",
        "2;17;81766;100;2016-05-10",
    )
    write(
        folder / "train-purchases.csv",
        "sessionId;userId;timeframe;eventdate;ordernumber;itemId",
        "2;17;90000;2016-05-10;33;32118",
    )
    write(folder / "product-categories.csv", "itemId;categoryId", "81766;4", "31331;5", "32118;4")
    write(folder / "train-queries.csv", "queryId;sessionId", "1;2")
    dataset = prepare(folder, map="diginetica", out=tmp_path / "out", shares=ALL_TRAIN)
    assert dataset.item_names == ["32118", "81766", "31331"]  # in order of timeframe
    assert paths(dataset) == {"32118": ("4",), "81766": ("4",), "31331": ("5",)}
    assert [dataset.session_user(session) for session in (0, 1)] == [None, "17"]


def test_a_side_table_that_is_not_there(tmp_path):
    write(tmp_path / "rr" / "events.csv", "timestamp,visitorid,event,itemid,transactionid", "1433221332117,7,view,10,")
    with pytest.raises(HupError, match=r"table of parent categories category_tree\* is not there; looked in"):
        prepare(tmp_path / "rr", map="retailrocket", out=tmp_path / "out")


def test_files_that_are_no_table_of_the_mapping(tmp_path):
    source = write(tmp_path / "orders.csv", "a,b", "1,2")
    with pytest.raises(HupError, match=r"No file is one of the mapping's tables.*Found: orders\.csv"):
        prepare(source, map="retailrocket", out=tmp_path / "out")


def test_taxonomy_can_be_read_by_anyone(tmp_path):
    source = write(
        tmp_path / "e.csv",
        "user,session,timestamp,item,behavior,category_1,category_2",
        "u,s,1700000000,a,view,home,light",
        "u,s,1700000001,b,view,garden,light",
    )
    prepare(source, out=tmp_path / "out", shares=ALL_TRAIN)
    rows = pq.read_table(tmp_path / "out" / "taxonomy.parquet").to_pylist()
    assert [(row["level"], row["path"]) for row in rows] == [
        (1, "home"),
        (1, "garden"),
        (2, "home > light"),
        (2, "garden > light"),
    ]
