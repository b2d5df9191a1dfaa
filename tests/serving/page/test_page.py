"""The page in a real browser, as a person uses it."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from .fake_service import HOSTILE, fake_service, shopping

pytestmark = pytest.mark.slow


@pytest.fixture
def shop():
    app = fake_service()
    app.state.users["ann"] = shopping(time.time() - 440)
    app.state.users["no-attention"] = shopping(time.time() - 440)
    app.state.users["bob"] = shopping(time.time() - 500)[:4]
    return app


def names(page: Any, level: str) -> list[str]:
    return page.locator(f"section[aria-labelledby='list-{level}'] .name").all_inner_texts()


def blocks(page: Any, level: str) -> list[str]:
    return page.locator(f"[aria-labelledby='lane-{level}'] .block").all_inner_texts()


def settled(page: Any, count: int) -> None:
    """Wait until as many events are shown."""
    page.wait_for_function("n => document.querySelectorAll('#log tr').length === n", arg=count)


def test_a_user_is_picked(opened, shop):
    page = opened(shop)
    assert page.locator("#nobody").is_visible()
    page.click("text=ann")
    settled(page, 12)
    assert page.locator(".lane .lane-name > span:first-child").all_inner_texts() == [
        "Category 1", "Category 2", "Category 3", "Item", "Micro"
    ]  # fmt: skip
    assert blocks(page, "category_1") == ["home", "garden", "home"]
    assert blocks(page, "micro")[1] == "Detail_comments"
    first = page.locator("[aria-labelledby='lane-item'] .block").first
    assert first.get_attribute("aria-label").startswith("Item: Glass kettle, events 1 to 2, ")
    assert names(page, "item")[0] == "Glass kettle"
    assert page.locator("section[aria-labelledby='list-item'] .mark").first.inner_text() == "again"
    assert {"again", "near"} <= set(page.locator(".list .mark").all_inner_texts())
    assert page.locator(".entry img").count() == 1
    assert page.locator("[data-clock=real]").get_attribute("aria-pressed") == "true"
    assert page.url.endswith("#user=ann")
    said = page.locator("#behaviors-said").text_content()
    assert said.startswith("The behaviors are those of the served model, 5 of them: SearchList2Product, ")


def test_users_are_searched_and_a_new_one_is_named(opened, shop):
    shop.state.users |= {f"many-{place:03}": shopping(0.0)[:1] for place in range(120)}
    page = opened(shop, may_log="404")  # which a browser tells of a user that nothing is kept of
    page.wait_for_function("() => document.querySelectorAll('#users button').length === 50")
    page.click("#users-more")
    page.wait_for_function("() => document.querySelectorAll('#users button').length === 100")
    page.fill("#user", "bo")
    page.wait_for_function("() => document.querySelectorAll('#users button').length === 1")
    page.fill("#user", "a new/one?")
    page.wait_for_selector("text=Open takes it as a new user")
    page.press("#user", "Enter")
    page.wait_for_selector("text=No events yet")
    assert names(page, "item")[0] == "Glass kettle", "what is popular"
    page.fill("#item", "102")
    page.click("#event-form button")
    settled(page, 1)
    assert list(shop.state.users)[-1] == "a new/one?"


def test_a_posted_event_changes_the_profile(opened, shop):
    page = opened(shop, "/#user=ann")
    settled(page, 12)
    before = names(page, "item")
    page.fill("#item", "200")
    page.select_option("#behavior", label="Cart")
    page.click("#event-form button")
    page.wait_for_selector("text=Accepted.")
    settled(page, 13)
    assert names(page, "item") != before
    assert blocks(page, "category_2")[-1] == "lamps"
    assert page.locator(".moved.up, .moved.in").count() > 0
    assert page.locator("#news").inner_text().startswith("Cart on Desk lamp.")
    assert shop.state.users["ann"][-1]["behavior"] == "3"
    page.click("section[aria-labelledby='list-item'] button.name >> nth=0")
    assert page.input_value("#item") != "200"
    page.fill("#item", "refused")
    page.click("#event-form button")
    page.wait_for_selector("text=Refused: event: key 'item' is 'refused', expected another.")


def test_events_of_others_are_noticed_and_a_hidden_page_asks_nothing(opened, shop):
    page = opened(shop, "/#user=bob")
    settled(page, 4)
    address = page.url.split("/#")[0]
    event = {"user": "bob", "item": "301", "behavior": "4", "event_id": "x"}
    httpx.post(f"{address}/v1/events", json={"events": [event]}).raise_for_status()
    settled(page, 5)
    assert blocks(page, "item")[-1] == "Rake"
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    page.wait_for_timeout(200)
    asked = shop.state.asked["/v1/users/bob/explanation"]
    page.wait_for_timeout(2200)
    assert shop.state.asked["/v1/users/bob/explanation"] == asked


def test_interest_fades_as_time_passes(opened, shop):
    page = opened(shop, "/#user=ann")
    settled(page, 12)
    page.click("[data-clock=last]")
    page.wait_for_function("() => document.querySelector('#elapsed').textContent === '0 s'")
    score = page.locator("section[aria-labelledby='list-item'] .score").first
    early = float(score.inner_text())
    page.click("[data-skip='3600']")
    page.wait_for_function("() => document.querySelector('#elapsed').textContent === '1 h'")
    page.wait_for_function("early => +document.querySelector('.list .score').textContent < early", arg=early / 2)
    page.select_option("#speed", "600")
    page.click("[data-clock=run]")
    page.wait_for_function("() => /^1 h [2-9]\\d min/.test(document.querySelector('#elapsed').textContent)")
    page.click("[data-clock=run]")
    held = page.locator("#elapsed").inner_text()
    page.wait_for_timeout(1200)
    assert page.locator("#elapsed").inner_text() == held


PASTED = """item, behavior, timestamp, categories
100, 1, 0
102, 3, 2, home > kitchen > toasters
{"item": "new", "behavior": "view", "timestamp": 3, "categories": ["garden", "ponds"]}
"""


def test_a_pasted_session_is_replayed(opened, shop):
    page = opened(shop)
    page.fill("#sample", PASTED)
    page.select_option("#pace", "10")
    page.click("text=Replay")
    settled(page, 3)
    assert blocks(page, "category_1") == ["home", "garden"]
    assert page.locator("#replay-toggle").inner_text() == "Again"
    page.locator("#replay-at").press("Home")
    settled(page, 1)
    page.click("text=Next event")
    settled(page, 2)
    page.fill("#item", "301")
    page.click("#event-form button")
    settled(page, 3)
    assert blocks(page, "item")[-1] == "Rake"
    assert shop.state.asked["/v1/events"] == 0, "nothing of a sample is kept"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no event."),
        ("100", "Line 1: expected item, behavior"),
        ("100, 1, 0\n100, 1, noon", "Line 2: the time is “noon”"),
        ('{"item": "1"}', "Line 1: key “behavior” is missing"),
        ("[1", "The text is no JSON"),
        ("refused, 1, 0", "event: key 'item' is 'refused', expected another."),
    ],
)
def test_what_is_no_session_is_said(opened, shop, text, said):
    page = opened(shop, may_log="422")
    page.fill("#sample", text)
    page.click("text=Replay")
    page.wait_for_function("said => document.querySelector('#sample-problem').textContent.includes(said)", arg=said)


def test_sessions_are_read_and_written_as_text(opened, shop):
    page = opened(shop)
    script = """async (text) => {
        const { sessionOf, textOf } = await import("/page/session_text.js");
        const events = sessionOf(text);
        return [events, sessionOf(textOf(events))];
    }"""
    hard = '"a, ""b""",1,2026-05-02T10:00:20Z,"x, y > z"\nc\t2\t2026-05-02 10:00:00\tq\nד, 3\n'
    events, again = page.evaluate(script, hard.replace("ד, 3\n", ""))
    assert [event["item"] for event in events] == ["c", 'a, "b"']
    assert events[1]["timestamp"] - events[0]["timestamp"] == 20
    assert events[1]["categories"] == ["x, y", "z"]
    assert events == again
    untimed, _ = page.evaluate(script, hard)
    assert [event["item"] for event in untimed] == ['a, "b"', "c", "ד"], "not all have a time: as they stand"


def test_a_user_becomes_a_sample_and_there_is_an_example(opened, shop):
    page = opened(shop)
    page.click("#sample-fill")
    page.wait_for_function("() => document.querySelector('#sample').value.split('\\n').length === 9")
    page.click("text=ann")
    page.wait_for_selector("text=Copy from user")
    page.click("#sample-fill")
    assert page.input_value("#sample").count("\n") == 11
    page.click("text=Replay")
    settled(page, 2)


def test_the_keyboard_alone_is_enough(opened, shop):
    page = opened(shop)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to(".skip")
    tab_to("#users button")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    settled(page, 12)
    tab_to("#item")
    page.keyboard.type("301")
    tab_to("#event-form button")
    page.keyboard.press("Enter")
    settled(page, 13)
    tab_to(".lane .block")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused).startswith("Category 1: garden, event 13, ")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused).startswith("Category 1: home, event 12, ")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused).startswith("Category 2: kitchen, event 12, ")
    page.keyboard.press("Home")
    assert page.evaluate(focused).startswith("Category 2: kitchen, events 1 to 3, ")
    assert page.locator("#block").inner_text().startswith("Category 2: kitchen, events 1 to 3, ")
    page.wait_for_timeout(1500)
    assert page.evaluate(focused).startswith("Category 2: kitchen, events 1 to 3, "), "what is drawn anew keeps focus"
    assert page.locator(".lane .block[tabindex='0']").count() == 5, "one stop a lane"


CONTRASTS = """() => {
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const color = numbers(getComputedStyle(one).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!text || element.closest(":disabled, option, .skip") || !element.getClientRects().length) continue;
        const two = [numbers(getComputedStyle(element).color), behind(element)].map(light).sort((a, b) => b - a);
        const contrast = (two[0] + 0.05) / (two[1] + 0.05);
        if (contrast < 4.5) poor.push([element.className, element.textContent.slice(0, 40), contrast]);
    }
    return poor;
}"""
ALL_SHADES = """() => [...document.querySelectorAll(".block")].forEach((block, place) => {
    block.className = `block shade-${place % 7}`;
    block.style.transition = "none";
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1366])
def test_it_is_legible_and_fits(opened, shop, scheme, width):
    size = {"width": width, "height": 800}
    page = opened(shop, "/#user=ann", color_scheme=scheme, viewport=size, reduced_motion="reduce")
    settled(page, 12)
    page.click("summary:has-text('What this page shows')")
    page.evaluate(ALL_SHADES)
    assert page.evaluate(CONTRASTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128")
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 1366])
def test_hostile_names_are_text_and_do_not_widen_the_page(opened, shop, width):
    long, rtl = "x" * 250, "\u202eevil"
    shop.state.users |= {HOSTILE: [], long: shopping(time.time() - 450), rtl: []}
    shop.state.users[long] += [
        {"item": name, "behavior": HOSTILE, "timestamp": time.time(), "categories": [HOSTILE, long, rtl]}
        for name in (HOSTILE, "y" * 1000, rtl)
    ]
    page = opened(shop, viewport={"width": width, "height": 800})
    page.click(f"#users button:text-is('{long}')")
    settled(page, 15)
    page.click("[aria-labelledby='lane-item'] .block >> nth=-2")
    assert HOSTILE in blocks(page, "item")
    assert HOSTILE in page.locator("#users").inner_text()
    assert "\u202e" not in page.locator("#block").inner_text(), "a name does not turn the sentence around it"
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_long_session_scrolls_in_its_lanes_alone(opened, shop):
    shop.state.users["long"] = [
        {**event, "timestamp": event["timestamp"] + 500 * part}
        for part in range(21)
        for event in shopping(time.time() - 11_000)
    ]
    page = opened(shop, "/#user=long", viewport={"width": 360, "height": 800})
    settled(page, 200)
    assert len(blocks(page, "micro")) == 252
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    scroll = page.evaluate(
        "(({scrollLeft, scrollWidth, clientWidth}) => [scrollLeft, scrollWidth, clientWidth])(lanes)"
    )
    assert scroll[1] > 3 * scroll[2]
    assert scroll[0] + scroll[2] >= scroll[1] - 2, "the newest is in sight"
    page.click("text=By time")
    assert page.locator("[data-axis=time]").get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_key_is_asked_for_and_kept_in_memory_alone(opened):
    app = fake_service(key="s3cret")
    app.state.users["ann"] = shopping(time.time() - 440)
    page = opened(app, "/#user=ann", may_log="401")
    page.fill("#key", "wrong")
    page.press("#key", "Enter")
    page.wait_for_selector("text=The service refuses this key.")
    page.keyboard.press("Escape")
    page.click("text=Give the API key")
    page.fill("#key", "s3cret")
    page.press("#key", "Enter")
    settled(page, 12)
    kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie, document.body.innerHTML]")
    assert kept[:3] == [0, 0, ""]
    assert "s3cret" not in kept[3]
    page.reload()
    page.wait_for_selector("#key-dialog[open]")


def test_a_service_that_is_gone_is_said_and_found_again(opened, shop):
    page = opened(shop, "/#user=ann", may_log="ERR_INTERNET_DISCONNECTED")
    settled(page, 12)
    page.context.set_offline(True)
    page.wait_for_selector("text=The service does not answer; trying again")
    page.context.set_offline(False)
    page.wait_for_selector('#connection[data-state="live"]')


def test_a_level_without_attention_has_no_shares(opened, shop):
    page = opened(shop, "/#user=no-attention")
    settled(page, 12)
    assert page.locator("[aria-labelledby='lane-micro'] .block.shade-none").count() == 12
    said = page.locator("[aria-labelledby='lane-micro'] .block").first.get_attribute("aria-label")
    assert said == "Micro: SearchList2Product on Glass kettle, event 1"


def test_another_model_is_noticed(opened, shop):
    page = opened(shop, "/#user=ann")
    settled(page, 12)
    page.select_option("#behavior", label="Cart")
    assert "0123456789ab" in page.locator("#model").inner_text()
    shop.state.model = "fedcba9876543210"
    page.wait_for_selector("text=fedcba987654")
    assert page.input_value("#behavior") == "3", "what was chosen stays"
    page.wait_for_timeout(1200)
    assert shop.state.asked["/v1/model"] == 2


def test_what_a_screen_reader_walks(opened, shop):
    page = opened(shop, "/#user=ann")
    settled(page, 12)
    assert page.locator("main, header, footer, aside").count() == 4
    assert page.locator("h1").count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, summary")]
            .filter((one) => one.getClientRects().length)
            .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    said = page.locator("section[aria-labelledby='list-item'] .said").first.text_content()
    assert "repeat" in said
