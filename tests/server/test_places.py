"""Places: taken all or none, given back whatever happens, and an honest word on when to retry."""

from __future__ import annotations

import dataclasses

import pytest

from plumb_backends.errors import InvalidInput, LimitReached, ServerStopping
from plumb_server.places import Places


@dataclasses.dataclass
class FakeClock:
    now: float = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_places_are_taken_until_there_are_none_and_again_when_some_are_given_back() -> None:
    places = Places(3)
    places.take()
    places.take(2)
    with pytest.raises(LimitReached, match=r"has 3 sessions.*PLUMB_MAX_SESSIONS") as told:
        places.take()
    assert told.value.metadata == {"limit": "PLUMB_MAX_SESSIONS"}
    places.give_back()
    places.take()


def test_several_are_taken_together_or_not_at_all() -> None:
    places = Places(3)
    places.take(2)
    with pytest.raises(LimitReached):
        places.take(2)
    places.take()


def test_more_than_there_are_is_a_mistake_and_not_worth_a_retry() -> None:
    with pytest.raises(InvalidInput, match=r"takes 4 sandboxes.*places for 3.*PLUMB_MAX_SESSIONS"):
        Places(3).take(4)


def test_what_is_held_is_given_back_at_the_end_also_of_a_failure() -> None:
    places = Places(2)
    with pytest.raises(RuntimeError), places.held(2):
        raise RuntimeError("no")
    places.take(2)


def test_a_server_that_goes_down_gives_no_more() -> None:
    places = Places(1)
    places.close()
    with pytest.raises(ServerStopping):
        places.take()


def retry_after(places: Places) -> float:
    with pytest.raises(LimitReached) as told:
        places.take()
    return told.value.retry_after


@pytest.mark.parametrize(
    ("next_end", "told"), [(20.0, 20.0), (0.1, 1.0), (-5.0, 1.0), (3600.0, 60.0)]
)
def test_retry_no_later_than_the_next_session_must_end_and_within_a_minute(
    clock: FakeClock, next_end: float, told: float
) -> None:
    places = Places(1, lambda: next_end)
    places.take()
    clock.now += 3600.0
    assert retry_after(places) == told


def test_a_wait_that_is_not_known_begins_with_a_second_and_grows_while_nothing_changes(
    clock: FakeClock,
) -> None:
    places = Places(2)
    places.take(2)
    seen = []
    for _ in range(5):
        seen.append(retry_after(places))
        clock.now += 10.0
    assert seen == [1.0, 5.0, 10.0, 15.0, 20.0]
    places.give_back()
    places.take()
    assert retry_after(places) == 1.0


def test_forty_refusals_at_the_same_time_do_not_make_the_wait_longer(clock: FakeClock) -> None:
    places = Places(1)
    places.take()
    assert {retry_after(places) for _ in range(40)} == {1.0}


def test_recent_lives_tell_how_long_it_takes_until_one_of_many_ends(clock: FakeClock) -> None:
    places = Places(4)
    for life in (50.0, 70.0):
        places.take()
        places.give_back(held_for=life)
    clock.now += 7200.0  # and an hour without anybody says nothing
    places.take(4)
    assert retry_after(places) == 15.0
