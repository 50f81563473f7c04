"""What is told when there is not room for all: the oldest turns go, the grounding never."""

from __future__ import annotations

import pytest

from plumb_backends.errors import ContextFull
from plumb_backends.simulated.conversation import Conversation, Exchange
from plumb_backends.simulated.messages import Message, estimate_tokens


def contents(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages]


def filled(room: int, turns: int = 5) -> Conversation:
    conversation = Conversation("grounding", room)
    for number in range(turns):
        conversation.add(Exchange(f"action {number}", f"reply {number}"))
    return conversation


def test_all_is_told_in_order_where_there_is_room() -> None:
    told = filled(1000, turns=2).told("now", more=[Message("user", "more")])
    assert told.dropped == 0
    assert told.messages == (
        Message("system", "grounding"),
        Message("user", "action 0"),
        Message("assistant", "reply 0"),
        Message("user", "action 1"),
        Message("assistant", "reply 1"),
        Message("user", "now"),
        Message("user", "more"),
    )


def test_the_oldest_turns_go_first_and_it_is_said_how_many() -> None:
    turn = estimate_tokens("action 0") + estimate_tokens("reply 0")
    fixed = estimate_tokens("grounding") + estimate_tokens("now")
    told = filled(fixed + 2 * turn).told("now")
    assert told.dropped == 3
    assert contents(told.messages) == [
        "grounding", "action 3", "reply 3", "action 4", "reply 4", "now"
    ]  # fmt: skip


def test_the_grounding_and_the_action_never_go() -> None:
    fixed = estimate_tokens("grounding") + estimate_tokens("now")
    assert contents(filled(fixed).told("now").messages) == ["grounding", "now"]
    with pytest.raises(ContextFull, match="PLUMB_SIMULATOR_CONTEXT_TOKENS"):
        filled(fixed - 1).told("now")


def test_half_goes_each_time_that_the_endpoint_itself_has_no_room() -> None:
    conversation = filled(1000)
    dropped = []
    while conversation.drop_more():
        dropped.append(conversation.told("now").dropped)
    assert dropped == [3, 4, 5]


def test_a_copy_has_the_past_and_a_future_of_its_own() -> None:
    conversation = filled(1000, turns=1)
    twin = conversation.copy()
    twin.add(Exchange("x", "y"))
    twin.drop_more()
    assert len(conversation.turns) == 1
    assert conversation.told("now").dropped == 0


def test_a_forgotten_past_is_not_told() -> None:
    conversation = filled(1000)
    conversation.drop_more()
    conversation.forget()
    conversation.add(Exchange("a", "b"))
    assert contents(conversation.told("now").messages) == ["grounding", "a", "b", "now"]
