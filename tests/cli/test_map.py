"""``hup map`` as a person types it."""

from __future__ import annotations

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from hup.cli.console import console, speaks_plainly
from hup.cli.map import map as command
from hup.data.prepare import prepare
from hup.data.tables.mapping import load_mapping

HEADER = "when;customer;sku;action;category_path"
ROWS = [
    f"2023-05-01 10:{n % 60:02d}:00Z;k{n % 9};{n % 20};{'view' if n % 3 else 'cart'};home/room{n % 4}"
    for n in range(200)
]


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(console, "width", 160)
    app = typer.Typer()
    app.command()(speaks_plainly(command))
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join([HEADER, *ROWS]) + "\n")
    return path


def test_writes_a_mapping_and_tells_how_to_go_on(tmp_path, log, run):
    out = tmp_path / "maps" / "mapping.toml"
    result = run(log, "--out", out)
    assert result.exit_code == 0, result.output
    for part in ("customer", "category_path", "paths parted by '/'", "view, cart"):
        assert part in result.stdout
    told = result.stderr.replace("\n", "")
    assert f"Next: hup validate {log} --format events --map {out}" in told
    mapping = load_mapping(out)
    assert mapping.tables[0].user == ("customer",)
    assert (mapping.categories.column, mapping.categories.delimiter) == (("category_path",), "/")
    assert out.read_text().startswith(f"# A mapping for {log}, proposed from a sample.")


def test_without_out_nothing_is_written(tmp_path, log, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(log)
    assert result.exit_code == 0, result.output
    assert "--out mapping.toml" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clicks.csv"]


def test_existing_files_are_kept(tmp_path, log, run):
    out = tmp_path / "mapping.toml"
    out.write_text("mine")
    result = run(log, "--out", out)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert out.read_text() == "mine"
    assert run(log, "--out", out, "--overwrite").exit_code == 0
    assert load_mapping(out).tables[0].item == ("sku",)


def test_known_logs(tmp_path, run):
    path = tmp_path / "events.csv"
    path.write_text("timestamp,visitorid,event,itemid,transactionid\n1433221332117,1,view,2,\n")
    (tmp_path / "category_tree.csv").write_text("categoryid,parentid\n1,\n")
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert "built-in mapping retailrocket" in result.stderr
    assert f"Next: hup validate {tmp_path} --format events --map retailrocket" in result.stderr.replace("\n", "")


def test_our_own_names_need_no_mapping(tmp_path, run):
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\na,b,1433221332117\n")
    result = run(path)
    assert "no mapping is needed" in result.stderr
    assert f"Next: hup validate {path} --format events" in result.stderr.replace("\n", "")


def test_a_table_of_another_kind_beside_the_events(tmp_path, log, run):
    (tmp_path / "products.csv").write_text("sku,brand\n1,acme\n")
    result = run(log, tmp_path / "products.csv")
    assert result.exit_code == 0, result.output
    assert "Not events: products.csv" in result.stderr


def test_several_tables_of_events(tmp_path, log, run):
    (tmp_path / "buys.csv").write_text("customer,sku,time,price\na,b,2023-05-01 10:00,5\n")
    result = run(log, tmp_path / "buys.csv")
    assert result.exit_code == 1
    assert "2 tables of different columns" in result.stderr


def test_what_is_missing_is_told(tmp_path, run):
    path = tmp_path / "odd.csv"
    path.write_text("when,who,what\n" + "".join(f"{1_600_000_000 + n},{n % 7},{n % 30}\n" for n in range(90)))
    out = tmp_path / "m.toml"
    result = run(path, "--out", out)
    assert result.exit_code == 1
    told = result.stderr.replace("\n", " ")
    assert "Not found: item, user or session." in told
    assert "Fill in the commented lines" in told
    assert "Next:" not in told
    assert '# item = "what"' in out.read_text()


def test_a_query(tmp_path, log, run):
    result = run("--query", f"SELECT * FROM read_csv('{log}', delim=';')")
    assert result.exit_code == 0, result.output
    assert "customer" in result.stdout
    assert "--query 'SELECT" in result.stderr.replace("\n", "")


def test_a_query_over_a_database(tmp_path, log, run):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute(f"CREATE TABLE clicks AS FROM read_csv('{log}', delim=';')")
    result = run(path, "--query", "SELECT * FROM clicks", "--out", tmp_path / "m.toml")
    assert result.exit_code == 0, result.output
    assert f"Next: hup validate {path} --query 'SELECT * FROM clicks'" in result.stderr.replace("\n", "")
    assert load_mapping(tmp_path / "m.toml").tables[0].user == ("customer",)
    result = run(path)
    assert result.exit_code == 1
    assert "is a database" in result.stderr


def test_neither_source_nor_query(log, run):
    result = run()
    assert result.exit_code == 1
    assert "Name files, folders or globs, or give a --query." in result.stderr
    result = run(log, "--query", "SELECT 1")
    assert result.exit_code == 1
    assert "With a query the only source can be one DuckDB file" in result.stderr


def test_missing_file(tmp_path, run):
    result = run(tmp_path / "none.csv")
    assert result.exit_code == 1
    assert "There is no file or folder" in result.stderr


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ";"), ("tsv", "\t")])
def test_own_names_in_another_dialect_give_a_mapping_that_reads_them(tmp_path, run, ending, delimiter):
    header = ("user", "session", "timestamp", "item", "behavior", "category_1")
    rows = [("u", "s", str(1_700_000_000 + n), f"i{n % 3}", "view", f"c{n % 2}") for n in range(9)]
    log, out = tmp_path / f"log.{ending}", tmp_path / "mapping.toml"
    log.write_text("\n".join(delimiter.join(row) for row in (header, *rows)) + "\n")
    result = run(log, "--out", out)
    assert f"--map {out}" in result.stderr.replace("\n", "")
    assert prepare(log, map=out, out=tmp_path / "dataset").manifest.counts.events == 9


def test_an_order_of_dates_that_is_not_told_is_asked_about(tmp_path, run):
    path = tmp_path / "orders.csv"
    path.write_text("user,sku,date\n" + "".join(f"u{n % 3},i{n % 4},{n % 12 + 1}/5/2024 9:00\n" for n in range(24)))
    assert "Write the mapping down with --out mapping.toml" in run(path).stderr.replace("\n", " ")
    result = run(path, "--out", tmp_path / "m.toml")
    told = result.stderr.replace("\n", " ")
    assert result.exit_code == 1
    assert "Not found: timestamp." in told
    assert '1/5/2024 9:00 is 1 May 2024 (format = "%d/%m/%Y %H:%M") or 5 January 2024 (format = "%m/%d/%Y' in told
    assert "Next:" not in told
    text = (tmp_path / "m.toml").read_text()
    line = next(line for line in text.splitlines() if "%d/%m/%Y" in line and line.startswith("# timestamp = "))
    (tmp_path / "m.toml").write_text(text.replace(line, line.removeprefix("# ")))
    dataset = prepare(path, map=tmp_path / "m.toml", out=tmp_path / "shop", sequence="user")
    assert dataset.manifest.time.last_ms == 1_715_504_400_000  # 12 May 2024, 09:00


def test_a_name_that_two_unused_columns_have_is_a_note(tmp_path, run):
    path = tmp_path / "log.csv"
    rows = "".join(f"u{n % 3},i{n % 4},{1_700_000_000 + n},x,y,z\n" for n in range(20))
    path.write_text("visitor,sku,ts,note,note,Note\n" + rows)
    result = run(path, "--out", tmp_path / "m.toml")
    assert result.exit_code == 0, result.output
    assert "log.csv has several columns named 'note': none is looked at." in result.stderr.replace("\n", " ")
    assert prepare(path, map=tmp_path / "m.toml", out=tmp_path / "shop").manifest.counts.events == 20


def test_two_colons_and_no_header(tmp_path, run):
    path = tmp_path / "ratings.dat"
    path.write_text("".join(f"{n % 3}::{1000 + n % 4}::{n % 5}::{978_300_760 + n}\n" for n in range(20)))
    result = run(path, "--out", tmp_path / "m.toml")
    assert result.exit_code == 1
    text = (tmp_path / "m.toml").read_text()
    assert 'delimiter = "::"' in text
    assert 'header = ["column_1", "column_2", "column_3", "column_4"]' in text


@pytest.mark.parametrize(("encoding", "user"), [("cp1252", "käufer_id"), ("gb18030", "用户ID")])
def test_another_encoding(tmp_path, run, encoding, user):
    path = tmp_path / "log.csv"
    rows = "".join(f"ü{n % 3},i{n % 4},{1_700_000_000 + n}\n" for n in range(20))
    path.write_bytes(f"{user},sku,ts\n{rows}".encode(encoding))
    result = run(path)
    assert result.exit_code == 1
    assert "Say which encoding it has" in result.stderr.replace("\n", " ")
    result = run(path, "--encoding", encoding, "--out", tmp_path / "m.toml")
    text = (tmp_path / "m.toml").read_text(encoding="utf-8")
    assert f'encoding = "{encoding}"' in text
    if encoding == "gb18030":
        dataset = prepare(path, map=tmp_path / "m.toml", out=tmp_path / "shop")
        assert set(dataset.users.to_pylist()) == {"ü0", "ü1", "ü2"}
