"""The OpenAPI document is true: whatever it allows, and what it does not, is answered as it says."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from hup.serving.options import ServeOptions
from hup.serving.service import Service
from hup.serving.stores.memory_store import MemoryStore

from .conftest import Client
from .test_routes import event


@pytest.fixture(scope="module")
def described(model_folder, served) -> Any:
    client = Client(Service(MemoryStore(), served, ServeOptions(model_folder, "memory:")))
    client.post(event("i1", user="0"), event("i2", 5, user="0"))
    return schemathesis.openapi.from_asgi("/openapi.json", client.app, headers={"host": "localhost"})


# Events of a list are judged one by one, inside of a good answer; and a question that the document allows may still be
# about a category that there is not, or a session that is out of order.
EXCLUDED = [negative_data_rejection, positive_data_acceptance]
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


def ask_everything(described: Any, examples: int) -> int:
    operations = [result.ok() for result in described.get_all_operations()]
    for operation in operations:
        for mode in schemathesis.GenerationMode:

            @settings(max_examples=examples, suppress_health_check=QUIET, database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(headers={"host": "localhost"}, excluded_checks=EXCLUDED)

            with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
                ask()
    return len(operations)


@pytest.mark.slow
def test_what_it_allows_and_what_it_does_not(described):
    assert ask_everything(described, 100) == 15


def test_every_route_is_described(client):
    told = client.ask("GET", "/openapi.json").json()
    assert set(told["paths"]) == {
        *(
            "/v1/events",
            "/v1/users",
            "/v1/users/{user}",
            "/v1/users/{user}/profile",
            "/v1/users/{user}/recommendations",
        ),
        *("/v1/users/{user}/explanation", "/v1/recommendations", "/v1/explanation", "/v1/items", "/v1/model"),
        *("/v1/items/{item}/similar", "/healthz", "/readyz", "/metrics"),
    }
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert not {"HTTPValidationError"} & set(str(operation).split("/")), path


def test_keys_are_described(make_service):
    key = "k" * 32
    client = Client(make_service(keys=(key,)))
    told = client.ask("GET", "/openapi.json", headers={"x-api-key": key}).json()
    assert set(told["components"]["securitySchemes"]) == {"bearer", "key"}
