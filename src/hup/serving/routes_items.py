"""Items: what is like them, and what the shop says of them now."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from hup.errors import HupError
from hup.serving.catalog import checked_row
from hup.serving.json_answers import json_answer
from hup.serving.problems import ServiceError
from hup.serving.requests import MOST_ITEMS, MOST_K, answers_of, check_count, item_in_path, read_body, service_of
from hup.serving.schemas import ITEM_ROWS, ItemsAnswer, RecommendationsAnswer, answers, json_body

router = APIRouter(tags=["items"])


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    items: list[dict[str, Any]]


_rows = msgspec.json.Decoder(_Rows)


@router.get("/v1/items/{item}/similar", responses=answers(RecommendationsAnswer, 404, 422, 503), response_model=None)
async def similar(
    request: Request,
    item: Annotated[str, Path(min_length=1, description="The item; of a category its path: a > b.")],
    k: Annotated[int, Query(ge=1, le=MOST_K, description="How many.")] = 10,
    level: Annotated[str, Query(description="item, or category_1 … category_K.")] = "item",
) -> Response:
    """List what is most like an item, whoever asks."""
    model = await answers_of(request)
    return json_answer({"model": model.served.digest, **model.similar(item_in_path(item), level, k)})


@router.put(
    "/v1/items",
    responses=answers(ItemsAnswer, 400, 413, 422, 503),
    response_model=None,
    openapi_extra=json_body(ITEM_ROWS),
)
async def put_items(request: Request) -> Response:
    """Say what is known of items; ``in_stock`` false: never recommended, from the next request on.

    Columns that are not given stay as they were; null takes one away. All or none of a request is taken.
    """
    service = service_of(request)
    body = await read_body(request, _rows)
    check_count(body.items, MOST_ITEMS, "items")
    try:
        rows = dict(map(checked_row, body.items))
    except HupError as error:
        raise ServiceError(422, str(error)) from None
    await service.catalog.put(rows, service.store)
    known = sum(item in service.served.model.vocabulary.item_codes for item in rows)
    return json_answer({"items": len(rows), "known": known, "out_of_stock": len(service.catalog.out)})
