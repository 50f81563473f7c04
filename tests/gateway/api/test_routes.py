"""The routes: every RPC has one place, and no two have the same."""

from __future__ import annotations

import re

import pytest

from plumb.v1 import environment_pb2
from plumb_gateway.api.routes import OVER_WEBSOCKET, ROUTES, SERVICES, Route
from plumb_server.services import add_services

BY_RPC = [pytest.param(route, id=route.rpc) for route in ROUTES]


def test_every_rpc_of_every_service_has_a_route_or_is_the_websocket() -> None:
    rpcs = [method.name for service in SERVICES.values() for method in service.methods]
    assert sorted(rpcs) == sorted([*OVER_WEBSOCKET, *(route.rpc for route in ROUTES)])


def test_every_service_that_the_server_has_is_known() -> None:
    names = " ".join(add_services.__code__.co_names)
    served = re.findall(r"add_(\w+Service)Servicer_to_server", names)
    assert set(served) == set(SERVICES)


def test_no_two_routes_have_the_same_verb_and_path() -> None:
    def shape(route: Route) -> tuple[str, str]:
        return route.verb, re.sub(r"{\w+}", "{}", route.path)

    assert len({shape(route) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", BY_RPC)
def test_no_other_path_is_taken_for_it(route: Route) -> None:
    pattern = re.sub(r"{\w+}", "[^/]+", route.path)
    others = [one for one in ROUTES if one.verb == route.verb and one is not route]
    assert not [one.path for one in others if re.fullmatch(pattern, one.path)]


@pytest.mark.parametrize("route", BY_RPC)
def test_every_name_in_a_path_fills_a_field_of_the_request(route: Route) -> None:
    names = re.findall(r"{(\w+)}", route.path)
    bound = route.bind(dict.fromkeys(names, "x"))
    assert len(bound) == len(names)
    for field in bound:
        outer, _, inner = field.partition(".")
        kind = route.method.input_type.fields_by_name[outer].message_type
        assert not inner or (kind is not None and inner in kind.fields_by_name)


def test_a_session_s_identifier_becomes_its_name() -> None:
    step = next(route for route in ROUTES if route.rpc == "StreamStep")
    assert step.bind({"session": "1"}) == {"step.name": "sessions/1"}
    assert step.is_stream
    assert step.request_type is environment_pb2.StreamStepRequest
    assert step.full_method == "/plumb.v1.EnvironmentService/StreamStep"


@pytest.mark.parametrize("route", BY_RPC)
def test_what_is_asked_with_get_changes_nothing(route: Route) -> None:
    only_asks = route.rpc.startswith(("Get", "List", "Probe", "Diagnose"))
    assert (route.verb == "GET") is only_asks
