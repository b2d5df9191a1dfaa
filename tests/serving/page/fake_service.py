"""A service of canned answers in the shapes of the real one, that change as events come and time passes."""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import groupby
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from hup.serving.page_files import router

PICTURE = "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect fill='teal' width='9' height='9'/></svg>"  # noqa: E501
HOSTILE = '<img src=x onerror="window.hacked=1">'
# Item -> what people call it, and its categories, coarsest first.
SHOP: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "100": ("Glass kettle", ("home", "kitchen", "kettles")),
    "101": (
        "Steel kettle with a very long name that no list has the room for, whatever the width",
        ("home", "kitchen", "kettles"),
    ),
    "102": ("Toaster", ("home", "kitchen", "toasters")),
    "103": ("Yogurt maker", ("home", "kitchen", "makers")),
    "104": (HOSTILE, ("home", "kitchen", "<b>bold</b>")),
    "200": ("Desk lamp", ("home", "lamps", "desk")),
    "201": ("מנורת רצפה", ("home", "lamps", "floor")),
    "300": (None, ("garden", "tools", "spades")),
    "301": ("Rake", ("garden", "tools", "rakes")),
}
BEHAVIORS = ["SearchList2Product", "Detail_comments", "Cart", "Order", HOSTILE]
LEVELS = ["micro", "item", "category_3", "category_2", "category_1"]


def _code(event: dict[str, Any], level: str) -> tuple[str, ...]:
    if level in ("micro", "item"):
        return (event["item"],)
    path = SHOP.get(event["item"], (None, tuple(event.get("categories") or ())))[1]
    return path[: int(level[-1])]


def _runs(events: list[dict[str, Any]], level: str, now: float) -> list[dict[str, Any]]:
    places = range(len(events))
    if level == "micro":
        groups = [[place] for place in places]
    else:
        groups = [list(group) for _, group in groupby(places, key=lambda place: _code(events[place], level))]
    weights = [len(group) * math.exp((events[group[-1]]["timestamp"] - now) / 300) + 1e-9 for group in groups]
    return [
        {
            "name": (_code(events[group[0]], level) or ("",))[-1],
            "path": list(_code(events[group[0]], "category_3" if level in ("micro", "item") else level)),
            "first": group[0],
            "last": group[-1],
            "began": events[group[0]]["timestamp"],
            "ended": events[group[-1]]["timestamp"],
            "share": weight / sum(weights),
        }
        for group, weight in zip(groups, weights, strict=True)
    ]


def _recommended(events: list[dict[str, Any]], level: str, now: float) -> list[dict[str, Any]]:
    met = Counter(_code(event, level) for event in events)
    near = {_code(event, "category_2") for event in events}
    current = _code(events[-1], level) if events else None
    fading = math.exp(-(now - events[-1]["timestamp"]) / 600) if events else 0.0
    things = {_code({"item": item}, level): item for item in SHOP} | {
        _code(event, level): event["item"] for event in events
    }
    ranked = []
    for place, (code, item) in enumerate(things.items()):
        again, close = met[code] * fading, (_code({"item": item}, "category_2") in near) * 0.5 * fading
        popular, fits = 0.4 / (place + 1), 0.1
        total = again + close + popular + fits
        parts = {"repeat": again, "memory": close, "popularity": popular, "profile": fits}
        shown = {"name": SHOP.get(item, (None,))[0], "price": 9.5, "image": PICTURE if item == "100" else None}
        ranked.append(
            {
                "name": code[-1],
                "path": list(_code({"item": item}, "category_3") if level == "item" else code),
                "score": total / 10,
                "seen": code in met,
                "origin": {name: part / total for name, part in parts.items()} | {"runs": []},
                "item": shown if level == "item" else {},
            }
        )
    return sorted((one for one in ranked if one["name"] != (current or ("",))[-1]), key=lambda one: -one["score"])


def explanation(events: list[dict[str, Any]], now: float | None) -> dict[str, Any]:
    events = [{"timestamp": float(place), **event} for place, event in enumerate(events)]
    latest = events[-1]["timestamp"] if events else 0.0
    moment = max(latest, latest if now is None else now)
    told = [
        {key: event[key] for key in ("item", "behavior", "timestamp")} | {"name": SHOP.get(event["item"], (None,))[0]}
        for event in events
    ]
    return {
        "began": events[0]["timestamp"] if events else None,
        "latest": latest if events else None,
        "events": told,
        "levels": [
            {
                "level": level,
                "runs": _runs(events, level, moment),
                "recommended": [] if level == "micro" else _recommended(events, level, moment),
            }
            for level in LEVELS
        ],
    }


def problem(status: int, title: str, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def fake_service(key: str | None = None) -> FastAPI:
    app = FastAPI()
    users: dict[str, list[dict[str, Any]]] = {}
    seen: set[str] = set()
    app.state.users, app.state.asked, app.state.model = users, Counter(), "0123456789abcdef"

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        path = request.url.path
        app.state.asked[path] += 1
        if key and path.startswith("/v1/") and request.headers.get("Authorization") != f"Bearer {key}":
            return problem(401, "Unauthorized", "This service asks for its API key.")
        answer: Response = await call_next(request)
        return answer

    @app.get("/v1/model")
    def model() -> dict[str, Any]:
        behaviors = [{"code": str(code), "name": name} for code, name in enumerate(BEHAVIORS, 1)]
        return {
            "model": app.state.model,
            "kind": "hup",
            "name": "HUP",
            "levels": LEVELS[1:],
            "behaviors": behaviors,
            "items": 9,
        }

    @app.get("/v1/users")
    def names(prefix: str = "", after: str = "", limit: int = 100) -> dict[str, Any]:
        found = sorted(name for name in users if name.startswith(prefix) and name > after)
        return {"users": found[:limit], "next": found[limit - 1] if len(found) > limit else None}

    @app.get("/v1/users/{user:path}/explanation")
    def of_user(user: str, now: float | None = None) -> Any:
        if user not in users:
            return problem(404, "Not Found", "There is no such user.")
        answer = explanation(users[user], now)
        if user == "no-attention":
            answer["levels"][0]["runs"] = [run | {"share": None} for run in answer["levels"][0]["runs"]]
        return {"user": user, "model": app.state.model, **answer}

    @app.post("/v1/explanation")
    async def of_session(request: Request) -> Any:
        body = await request.json()
        for event in body["session"]:
            if event["item"] == "refused":
                return problem(422, "Unprocessable", "event: key 'item' is 'refused', expected another.")
        return {"model": app.state.model, **explanation(body["session"], body.get("now"))}

    @app.post("/v1/events")
    async def post(request: Request) -> Any:
        verdicts = []
        for event in (await request.json())["events"]:
            if event["item"] == "refused":
                verdicts.append({"status": "refused", "reason": "event: key 'item' is 'refused', expected another."})
                continue
            if event.get("event_id") in seen:
                verdicts.append({"status": "duplicate"})
                continue
            seen.add(event.get("event_id") or str(len(seen)))
            users.setdefault(event["user"], []).append({"timestamp": time.time(), **event})
            verdicts.append({"status": "accepted", "event_id": event.get("event_id")})
        return {"accepted": sum(one["status"] == "accepted" for one in verdicts), "verdicts": verdicts}

    app.include_router(router)
    return app


def shopping(began: float) -> list[dict[str, Any]]:
    """Twelve events of a session, as the paper's Figure 5 has."""
    items = ["100", "100", "101", "200", "100", "102", "102", "102", "104", "300", "300", "103"]
    afters = (0, 20, 50, 86, 200, 260, 270, 300, 330, 400, 420, 430)
    steps = zip(items, "121111231151", afters, strict=True)
    return [{"item": item, "behavior": behavior, "timestamp": began + after} for item, behavior, after in steps]
