"""The page's files: given as they are, closed to the outside."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hup.serving.page_files import router

PAGE = files("hup.serving").joinpath("page")
NAMES = sorted(found.name for found in PAGE.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(router)
    return TestClient(app)


def test_the_page_is_given_with_a_strict_policy(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    assert "style-src" not in policy
    assert policy["img-src"] == "'self' https: http: data:"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_given_with_its_type(client, name):
    answer = client.get(f"/page/{name}")
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kinds[name.rsplit(".", 1)[1]])
    assert answer.content == PAGE.joinpath(name).read_bytes()


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpage_files.py", "%2e%2e/page_files.py", "__init__.py"])
def test_nothing_else_is_given(client, name):
    assert client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_an_address_outside(name):
    text = PAGE.joinpath(name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[a-z0-9][\w.-]*\.[a-z]{2,}", text, re.IGNORECASE)


def test_what_the_page_names_is_there():
    index = PAGE.joinpath("index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:href|src)="page/([^"]+)"', index))
    for name in NAMES:
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([^"]+)"', PAGE.joinpath(name).read_text(encoding="utf-8")))
    assert named | {"index.html"} == set(NAMES)


def test_no_style_and_no_script_is_inside_of_the_page():
    """The policy forbids both; what comes from a shop is never read as markup."""
    index = PAGE.joinpath("index.html").read_text(encoding="utf-8")
    assert not re.search(r"\s(?:style|on\w+)=", index)
    assert "<style" not in index
    assert re.findall(r"<script[^>]*>([^<]*)</script>", index) == [""]
    for name in NAMES:
        text = PAGE.joinpath(name).read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|localStorage", text), (
            name
        )


def test_the_page_says_whose_the_behaviors_are():
    index = PAGE.joinpath("index.html").read_text(encoding="utf-8")
    assert "The behaviors are those of the served model" in index
    assert re.search(r"Table 1 lists ten behaviors of one shop", index)
