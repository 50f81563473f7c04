"""The examples: each can be read as it is."""

from __future__ import annotations

import pytest

from plumb_gateway.api.examples import BODIES, PATHS
from plumb_gateway.api.json_mapping import from_json
from plumb_gateway.api.routes import ROUTES


def test_every_rpc_with_a_body_has_an_example_and_no_other_has() -> None:
    assert set(BODIES) == {route.rpc for route in ROUTES if route.has_body}


@pytest.mark.parametrize("rpc", BODIES)
def test_every_example_is_read(rpc: str) -> None:
    route = next(route for route in ROUTES if route.rpc == rpc)
    from_json(dict(BODIES[rpc]), route.request_type)


def test_every_path_example_is_of_a_name_that_is_in_a_path() -> None:
    assert all(any(f"{{{name}}}" in route.path for route in ROUTES) for name in PATHS)
