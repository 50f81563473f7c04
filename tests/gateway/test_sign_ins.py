"""Who is signed in: for how long, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plumb_gateway.sign_ins import SignIns

if TYPE_CHECKING:
    from tests.gateway.conftest import Kit


async def test_a_value_stands_for_a_token_until_it_is_ended() -> None:
    sign_ins = SignIns(60)
    value = sign_ins.begin("token")
    found = sign_ins.find(value)
    assert found is not None
    assert found.token == "token"
    assert "token" not in value
    assert "token'" not in repr(found)
    sign_ins.end(value)
    assert found.ended.is_set()
    assert sign_ins.find(value) is None
    sign_ins.end(value)  # again, as a button is pressed twice


async def test_each_browser_has_a_value_of_its_own() -> None:
    sign_ins = SignIns(60)
    values = {sign_ins.begin("token") for _ in range(10)}
    assert len(values) == 10
    assert min(map(len, values)) >= 43


async def test_it_ends_by_itself_when_its_time_is_over(kit: type[Kit]) -> None:
    sign_ins = SignIns(0.01)
    value = sign_ins.begin("token")
    found = sign_ins.find(value)
    assert found is not None
    await kit.soon(found.ended.wait())
    assert sign_ins.find(value) is None


async def test_there_are_never_more_than_a_thousand() -> None:
    sign_ins = SignIns(60)
    values = [sign_ins.begin("token") for _ in range(1001)]
    assert sign_ins.find(values[0]) is None
    assert all(sign_ins.find(value) for value in values[1:])
