"""How replies are asked for and read: what is not as asked for is malformed, never output."""

from __future__ import annotations

import json

import pytest

from plumb_backends.kind import Printed, Reply
from plumb_backends.registry import all_kinds
from plumb_backends.simulated.reply_format import JsonFormat, Malformed, TextFormat

SHELL = all_kinds()["shell"].part
GOOD = {"output": "x\n", "exit_code": 1, "cwd": "/tmp", "seconds": 0.5}


def test_a_reply_is_read_with_its_facts() -> None:
    reply = JsonFormat(SHELL, reason=False).read(json.dumps(GOOD))
    assert reply == Reply("x\n", {"exit_code": 1, "cwd": "/tmp", "seconds": 0.5})


def test_a_lone_surrogate_becomes_a_question_mark_for_nothing_could_send_it() -> None:
    content = '{"output": "\\ud800 x", "exit_code": 0, "cwd": "/", "seconds": 0}'
    assert JsonFormat(SHELL, reason=False).read(content).output == "? x"


def test_a_thought_is_read_and_comes_first_in_the_schema() -> None:
    form = JsonFormat(SHELL, reason=True)
    assert form.schema is not None
    assert form.schema["required"] == [
        *("thought", "output", "exit_code", "cwd", "seconds", "ending", "printed")
    ]
    assert form.read(json.dumps({"thought": "hm", **GOOD})).thought == "hm"


@pytest.mark.parametrize("kind", all_kinds())
@pytest.mark.parametrize("reason", [True, False])
def test_the_schema_is_strict(kind: str, reason: bool) -> None:
    schema = JsonFormat(all_kinds()[kind].part, reason=reason).schema
    assert schema is not None
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", all_kinds())
def test_the_model_is_told_every_field_also_where_schemas_are_ignored(kind: str) -> None:
    part = all_kinds()[kind].part
    told = JsonFormat(part, reason=True).ask()
    for name in ("thought", "output", *part.facts):
        assert f"`{name}`" in told


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "empty"),
        ("", "empty"),
        (" \n", "empty"),
        ("hello", "not JSON: hello"),
        ('{"output": "x"', "not JSON"),
        ("```json\n{}\n```", "not JSON"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"exit_code": 0}), "no field 'output'"),
        (json.dumps({**GOOD, "output": None}), "'output' is null"),
        (json.dumps({**GOOD, "exit_code": "0"}), "'exit_code' is \"0\""),
        (json.dumps({**GOOD, "exit_code": True}), "'exit_code' is true"),
        (json.dumps({**GOOD, "exit_code": 256}), "exit_code is 256"),
        (json.dumps({**GOOD, "exit_code": -1}), "exit_code is -1"),
        (json.dumps({**GOOD, "cwd": "tmp"}), "cwd is 'tmp', which is not absolute"),
        (json.dumps({**GOOD, "ending": "vanished"}), "'ending' is \"vanished\""),
        (json.dumps({**GOOD, "ending": "out_of_memory"}), "out_of_memory and exit_code 1, not 137"),
        (json.dumps({**GOOD, "printed": [3]}), "'printed' is 3"),
        (json.dumps({**GOOD, "printed": [{"seconds": 1, "lines": -1}]}), "'printed' is {"),
        (json.dumps({**GOOD, "printed": [{"seconds": 1}]}), "no field 'lines'"),
    ],
)
def test_what_is_not_as_asked_for_is_malformed_and_says_why(content: str | None, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        JsonFormat(SHELL, reason=False).read(content)
    assert why in str(caught.value)


def test_an_example_is_written_as_a_reply_is_read() -> None:
    form = JsonFormat(SHELL, reason=False)
    reply = Reply("x\n", {"exit_code": 1, "cwd": "/tmp", "seconds": 0.5})
    assert form.read(form.write(reply)) == reply


def test_what_an_endpoint_leaves_out_is_the_usual() -> None:
    form = JsonFormat(SHELL, reason=False)
    for left_out in ({}, {"ending": None, "printed": None}):
        assert form.read(json.dumps({**GOOD, **left_out})).printed == ()


def test_what_is_printed_by_when_is_read_and_written() -> None:
    form = JsonFormat(SHELL, reason=False)
    told = {**GOOD, "ending": "exited", "printed": [{"seconds": 0.5, "lines": 1}]}
    made = form.read(json.dumps(told))
    assert made.printed == (Printed(0.5, 1),)
    assert json.loads(form.write(made)) == told


@pytest.mark.parametrize(
    ("content", "output", "facts"),
    [
        ('a\n<end exit_code="3" cwd="/srv/x y" seconds="0.5" ending="exited"/>', "a\n",
         {"exit_code": 3, "cwd": "/srv/x y", "seconds": 0.5, "ending": "exited"}),
        ('<silent/>\n<end exit_code="0" cwd="/tmp"/>\n', "", {"exit_code": 0, "cwd": "/tmp"}),
        ('<end exit_code="0"/>', "", {"exit_code": 0}),
        ('a\n<end exit_code="many" seconds="nan" ending="odd" other="1"/>', "a\n", {}),
        ('a\n<end exit_code="0"/>\nb', 'a\n<end exit_code="0"/>\nb', {}),
        ("a <end/>", "a <end/>", {}),
        ("a\n<end>", "a\n<end>", {}),
    ],
)  # fmt: skip
def test_a_tag_behind_a_text_says_what_else_is_known(
    content: str, output: str, facts: dict[str, object]
) -> None:
    assert TextFormat(SHELL, reason=False).read(content) == Reply(output, facts)


def test_a_text_is_written_as_it_is_read() -> None:
    form = TextFormat(SHELL, reason=False)
    for output in ("a\n", ""):
        made = Reply(output, {"exit_code": 1, "cwd": "/a", "seconds": 0.5, "ending": "exited"})
        assert form.read(form.write(made)) == made


def test_impossible_facts_in_a_tag_are_malformed() -> None:
    with pytest.raises(Malformed, match="exit_code is 999"):
        TextFormat(SHELL, reason=False).read('a\n<end exit_code="999"/>')


def test_text_is_the_output_and_nothing_else_is_known() -> None:
    assert TextFormat(SHELL, reason=False).read("a\nb\n") == Reply("a\nb\n")


def test_silence_has_a_word_so_that_an_empty_reply_is_never_taken_for_it() -> None:
    form = TextFormat(SHELL, reason=False)
    assert "<silent/>" in form.ask()
    assert form.read("<silent/>\n") == Reply("")
    assert form.write(Reply("")) == "<silent/>"
    for content in (None, "", " \n"):
        with pytest.raises(Malformed, match="empty"):
            form.read(content)


def test_a_thought_between_tags_is_kept_and_not_shown() -> None:
    form = TextFormat(SHELL, reason=True)
    assert "<thought>" in form.ask()
    assert form.read("<thought>\nhm\n</thought>\n  a\n") == Reply("  a\n", {}, "hm")
    assert form.read("a\n") == Reply("a\n")
    with pytest.raises(Malformed):
        form.read("<thought>only that</thought>")
