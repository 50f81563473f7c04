"""Places for connections: who gets one, and whose is taken back."""

from __future__ import annotations

import pytest

from plumb_gateway.connections.patience import Patience, Stage, Watch
from plumb_gateway.connections.places import Place, Places, peer_of


class Scripted:
    """Holds a place, and does as it is told."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self.is_ended = False

    def waits(self) -> bool:
        return self._waits

    def look(self, now: float) -> None:
        pass

    def end(self) -> None:
        self.is_ended = True


def take(places: Places, address: str, *, waits: bool = True) -> tuple[Place, Scripted]:
    place = places.take(address)
    assert place is not None
    place.holder = holder = Scripted(waits=waits)
    return place, holder


def test_the_longest_waiting_makes_room() -> None:
    places = Places(2, 2)
    _, first = take(places, "1.1.1.1")
    _, second = take(places, "2.2.2.2", waits=False)
    take(places, "3.3.3.3")
    assert first.is_ended
    assert not second.is_ended
    assert len(places) == 2


def test_where_all_are_served_there_is_none() -> None:
    places = Places(2, 2)
    for address in ("1.1.1.1", "2.2.2.2"):
        take(places, address, waits=False)
    assert places.take("3.3.3.3") is None
    assert len(places) == 2


def test_who_holds_the_most_gives_first() -> None:
    places = Places(4, 3)
    _, quiet = take(places, "1.1.1.1")
    greedy = [take(places, "2.2.2.2")[1] for _ in range(3)]
    take(places, "3.3.3.3")
    assert not quiet.is_ended
    assert [one.is_ended for one in greedy] == [True, False, False]


def test_one_peer_has_no_more_than_its_share() -> None:
    places = Places(10, 2)
    served = [take(places, "1.1.1.1", waits=False)[1] for _ in range(2)]
    assert places.take("1.1.1.1") is None
    assert places.take("1.1.1.2") is not None
    assert not any(one.is_ended for one in served)


def test_over_loopback_all_may_be_had_for_a_proxy_speaks_for_many() -> None:
    places = Places(10, 2)
    for _ in range(10):
        take(places, "127.0.0.1", waits=False)
    assert places.take("127.0.0.2") is None


def test_who_was_served_last_gives_last() -> None:
    places = Places(2, 2)
    place, first = take(places, "1.1.1.1")
    _, second = take(places, "1.1.1.1")
    place.refresh()
    take(places, "1.1.1.1")
    assert second.is_ended
    assert not first.is_ended


def test_a_place_is_given_back_once() -> None:
    places = Places(2, 2)
    place, _ = take(places, "1.1.1.1")
    take(places, "1.1.1.1")
    place.give_back()
    place.give_back()
    place.refresh()
    assert len(places) == 1


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::ffff:127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_a_network_of_one(address: str, peer: str) -> None:
    assert peer_of(address) == peer


def over(watch: Watch, stage: Stage, *, turn: int = 0, done: int = 0, now: float) -> bool:
    return watch.is_over(stage, turn, done, now)


def test_a_head_has_its_time_however_much_of_it_comes() -> None:
    watch = Watch(Patience(request=10))
    assert not over(watch, Stage.HEAD, now=100)
    assert not over(watch, Stage.HEAD, now=110, done=10**9)
    assert over(watch, Stage.HEAD, now=110.1, done=10**9)


def test_each_request_begins_afresh() -> None:
    watch = Watch(Patience(request=10))
    over(watch, Stage.HEAD, now=100)
    assert not over(watch, Stage.HEAD, now=111, turn=1)


@pytest.mark.parametrize("stage", [Stage.BODY, Stage.UNREAD, Stage.CLOSING])
def test_what_comes_along_may_take_as_long_as_it_is(stage: Stage) -> None:
    watch = Watch(Patience(stall=20, bytes_per_second=100))
    over(watch, stage, now=0, done=-5000)
    assert not over(watch, stage, now=19, done=-5000)
    assert not over(watch, stage, now=40, done=-1000)
    assert over(watch, stage, now=41, done=-1000)


def test_what_is_served_takes_as_long_as_it_takes() -> None:
    watch = Watch(Patience())
    over(watch, Stage.SERVED, now=0)
    assert not over(watch, Stage.SERVED, now=10**6)
