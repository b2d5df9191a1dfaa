"""What answers look like, for the OpenAPI document alone: they are made by the answers' code, not checked by it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from hup.serving.problems import MEDIA_TYPE

Schema = dict[str, Any]


class Problem(BaseModel):
    """What went wrong."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    """The request's id, which the log has, too."""


class EventVerdict(BaseModel):
    """What became of an event: accepted, duplicate, late or refused."""

    status: str
    event_id: str | None = None
    reason: str | None = None


class EventsAnswer(BaseModel):
    """Verdicts in the order of the events."""

    accepted: int
    verdicts: list[EventVerdict]


class UsersAnswer(BaseModel):
    """Users in order; ``next`` is what to give as ``after`` for those that follow, null where there are none."""

    users: list[str]
    next: str | None


class RunShare(BaseModel):
    """A run of the session and its share."""

    name: str
    weight: float
    path: list[str]


class OriginShares(BaseModel):
    """Where a probability comes from; the four shares sum to 1."""

    repeat: float
    memory: float
    popularity: float
    profile: float
    runs: list[RunShare]


class Recommended(BaseModel):
    """An item or category; ``item`` has what the shop says of an item."""

    name: str
    path: list[str]
    score: float
    seen: bool
    origin: OriginShares | None
    item: dict[str, Any] | None = None


class RecommendationsAnswer(BaseModel):
    """A ranked list; for level=all lists by level under ``levels``."""

    model_config = ConfigDict(extra="allow")

    user: str | None = None
    model: str
    level: str | None = None
    ranked: list[Recommended] | None = None
    reasons: list[RunShare] | None = None
    basis: str | None = None
    note: str | None = None
    levels: dict[str, Any] | None = None


class SessionInfo(BaseModel):
    """The session that a user is in."""

    number: int
    name: str | None
    began: float | None
    latest: float | None
    events: int


class LevelProfile(BaseModel):
    """Vector of a level, and what fits the user best."""

    vector: list[float] | None = None
    top: list[Recommended]


class ProfileAnswer(BaseModel):
    """Profiles of all levels, bottom first."""

    user: str
    model: str
    session: SessionInfo
    events: int
    levels: dict[str, LevelProfile]


class ExplainedEvent(BaseModel):
    """An event of the session."""

    item: str
    behavior: str
    timestamp: float | None
    name: str | None = None


class Run(BaseModel):
    """A run of a level; ``first`` and ``last`` are places among the events."""

    name: str
    path: list[str]
    first: int
    last: int
    began: float | None
    ended: float | None
    share: float | None


class ExplainedLevel(BaseModel):
    """A level of the pyramid."""

    level: str
    runs: list[Run]
    recommended: list[Recommended]


class ExplanationAnswer(BaseModel):
    """The session as the model sees it."""

    user: str | None = None
    model: str
    began: float | None
    latest: float | None
    events: list[ExplainedEvent]
    levels: list[ExplainedLevel]


class ItemsAnswer(BaseModel):
    """How many items were put, how many of these the model knows, and how many of all are out of stock."""

    items: int
    known: int
    out_of_stock: int


class BehaviorInfo(BaseModel):
    """A behavior that the model knows."""

    code: str
    name: str


class ModelAnswer(BaseModel):
    """The model that answers."""

    model: str
    kind: str
    name: str
    levels: list[str]
    behaviors: list[BehaviorInfo]
    items: int
    categories: list[int]
    has_profiles: bool
    loaded: str
    failed: str | None
    """Why it could not be read again the last time."""


class StatusAnswer(BaseModel):
    """All is well, or under way."""

    status: str


def answers(model: type[BaseModel], *problems: int, status: int = 200) -> dict[int | str, Schema]:
    """List the answers of a route: the one that is asked for, and what may be wrong."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    made: dict[int | str, Schema] = {status: {"model": model, "description": (model.__doc__ or "").strip()}}
    for code in (*problems, 401, 403, 500):
        made[code] = {"description": _WRONG[code], "content": content}
    return made


_WRONG: Final = {
    400: "The body is no JSON.",
    401: "The API key is missing, or another one.",
    403: "Without an API key, this machine alone is answered.",
    404: "There is no such user, item, category or level.",
    409: "The model has no profiles.",
    413: "The request is too large.",
    422: "A value is not what is expected.",
    500: "Something is wrong in the service.",
    503: "The store is not to be reached.",
}

_NAME: Final[Schema] = {"type": "string", "minLength": 1}
_SECONDS: Final[Schema] = {"type": ["number", "null"]}
EVENT: Final[Schema] = {
    "type": "object",
    "required": ["item", "behavior"],
    "properties": {
        "user": {**_NAME, "description": "Whose event; not asked for in a session."},
        "item": _NAME,
        "behavior": {**_NAME, "description": "Code or name; GET /v1/model lists those that the model knows."},
        "timestamp": {**_SECONDS, "description": "Seconds since 1970; without it, the server's clock."},
        "event_id": {"type": ["string", "null"], "description": "By which a second post of it is known."},
        "session": {"type": ["string", "null"], "description": "Another one begins a new session."},
        "categories": {"type": "array", "items": {"type": "string"}, "description": "The item's path, coarsest first."},
        "interval": {**_SECONDS, "description": "Seconds to the next event, where the log has it itself."},
        "dwell": {**_SECONDS, "description": "Seconds on the item run, where the log has it itself."},
    },
    "example": {"user": "ann", "item": "lamp-1", "behavior": "view", "timestamp": 1700000000, "event_id": "e-1"},
}
_SESSION: Final[Schema] = {"type": "array", "items": EVENT, "description": "Events, oldest first."}
_NOW: Final[Schema] = {"type": ["number", "null"], "description": "Seconds on the events' clock: how late it is."}
EVENTS: Final[Schema] = {
    "anyOf": [
        {
            "type": "object",
            "required": ["events"],
            "properties": {"events": {"type": "array", "items": EVENT}},
            "additionalProperties": False,
        },
        EVENT,
    ]
}
SESSION_QUESTION: Final[Schema] = {
    "type": "object",
    "required": ["session"],
    "properties": {
        "session": _SESSION,
        "level": {"type": "string", "default": "item"},
        "k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
        "new_only": {"type": "boolean", "default": False},
        "within": {"type": "string", "default": "", "description": "A category's path: a > b."},
        "now": _NOW,
    },
    "additionalProperties": False,
}
SESSION_EXPLAINED: Final[Schema] = {
    "type": "object",
    "required": ["session"],
    "properties": {"session": _SESSION, "now": _NOW},
    "additionalProperties": False,
}
ITEM_ROWS: Final[Schema] = {
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["item"],
                "properties": {"item": _NAME, "in_stock": {"type": ["boolean", "null"]}},
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                "example": {"item": "lamp-1", "in_stock": False, "name": "Desk lamp"},
            },
        }
    },
    "additionalProperties": False,
}


def json_body(schema: Schema) -> Schema:
    """Describe the body of a request, which the service reads itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
