"""How a reply is asked for, and read back: JSON by a schema, or plain text.

What is not as asked for is `Malformed`, with a reason for people, and is sampled again.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from plumb_backends.kind import Part, Reply
from plumb_backends.simulated.messages import sendable
from plumb_backends.simulated.prompting import Prompt, shipped

Fields = Mapping[str, Mapping[str, object]]
"""What a JSON object holds: name -> its JSON schema."""

_MOST_DEPTH = 8
_MOST_QUOTED = 80
_LARGEST = 2**63 - 1

SILENT = "<silent/>"
_OUTPUT = {"type": "string", "description": "what is printed, character for character"}
_THOUGHT = {"type": "string", "description": "step by step, for nobody to see"}
_TYPES: Mapping[object, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}
_THOUGHT_TAGS = re.compile(r"\s*<thought>(.*?)</thought>[ \t]*\n?", re.DOTALL)


class Malformed(Exception):
    """A reply that is not as it was asked for."""


def object_schema(fields: Fields) -> dict[str, object]:
    """The JSON schema of an object that has just these fields, as strict endpoints want it."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(fields),
        "additionalProperties": False,
    }


def read_object(content: str | None, fields: Fields) -> dict[str, Any]:
    """Reads a JSON object that has at least these fields.

    Raises:
        Malformed: It is none, or a field is missing or of another type.
    """
    if content is None or not content.strip():
        raise Malformed("the reply is empty")
    try:
        data = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # also a number of more digits than Python converts
        raise Malformed(f"the reply is not JSON: {_short(content)}") from None
    if not isinstance(data, dict):
        raise Malformed(f"the reply is no JSON object: {_short(content)}")
    return {name: _read_field(data, name, schema) for name, schema in fields.items()}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _read_field(data: Mapping[str, object], name: str, schema: Mapping[str, object]) -> Any:
    """Reads one field; what nobody asked for is not looked at."""
    if name not in data:
        raise Malformed(f"the reply has no field {name!r}")
    value = _sendable(name, data[name], _MOST_DEPTH)
    if not _is_of(value, schema["type"]):
        raise Malformed(f"the reply's field {name!r} is {_short(json.dumps(value))}")
    return value


def _sendable(name: str, value: object, depth: int) -> object:
    """A value that can be passed on: whatever takes it knows how large its numbers can be."""
    if not depth:
        raise Malformed(f"the reply's field {name!r} is nested too deeply")
    match value:
        case str():  # an escape in JSON can make a lone surrogate, which nothing can send on
            return sendable(value)
        case list():
            return [_sendable(name, item, depth - 1) for item in value]
        case dict():
            return {
                str(_sendable(name, key, depth - 1)): _sendable(name, item, depth - 1)
                for key, item in value.items()
            }
        case int() | float() if not -_LARGEST <= value <= _LARGEST:  # also no number at all
            raise Malformed(f"the reply's field {name!r} is a number that cannot be")
    return value


def _is_of(value: object, wanted: object) -> bool:
    if isinstance(value, bool):  # which Python takes for an integer
        return wanted == "boolean"
    return isinstance(value, _TYPES[wanted])


class JsonFormat:
    """Replies as JSON objects, by a schema.

    Args:
        part: What the kind asks for.
        reason: Whether the model thinks first; the first field is the thought then.
    """

    def __init__(self, part: Part, *, reason: bool) -> None:
        thought = {"thought": _THOUGHT} if reason else {}
        self._part = part
        self._fields = {**thought, "output": _OUTPUT, **part.facts}
        self._reason = reason
        self.schema: Mapping[str, object] | None = object_schema(self._fields)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that say it."""
        return (shipped("format_json"), *((shipped("reason_json"),) if self._reason else ()))

    def ask(self) -> str:
        """What the model is told about it."""
        lines = [f"- `{name}`: {field['description']}" for name, field in self._fields.items()
                 if name != "thought"]  # fmt: skip
        if self._reason:
            lines.insert(0, f"- {shipped('reason_json').fill()}")
        return shipped("format_json").fill(fields="\n".join(lines))

    def write(self, reply: Reply) -> str:
        """Writes a reply as a model should: for examples."""
        facts = {name: reply.facts[name] for name in self._part.facts if name in reply.facts}
        thought = {"thought": reply.thought} if self._reason and reply.thought else {}
        return json.dumps({**thought, "output": reply.output, **facts}, ensure_ascii=False)

    def read(self, content: str | None) -> Reply:
        """Reads a reply.

        Raises:
            Malformed: It is not as asked for, or its facts are impossible.
        """
        data = read_object(content, self._fields)
        facts = {name: data[name] for name in self._part.facts}
        if impossible := self._part.check_facts(facts):
            raise Malformed(impossible)
        return Reply(data["output"], facts, str(data.get("thought", "")))


class TextFormat:
    """Replies as plain text. Nothing is known beside the output.

    An action without output has a word of its own, so that an empty reply, which is what broken
    endpoints give, is never taken for one.

    Args:
        reason: Whether the model thinks first, between tags.
    """

    schema: Mapping[str, object] | None = None

    def __init__(self, *, reason: bool) -> None:
        self._reason = reason

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that say it."""
        return (shipped("format_text"), *((shipped("reason_text"),) if self._reason else ()))

    def ask(self) -> str:
        """What the model is told about it."""
        thought = shipped("reason_text").fill() if self._reason else ""
        return shipped("format_text").fill(thought=thought)

    def write(self, reply: Reply) -> str:
        """Writes a reply as a model should: for examples."""
        return reply.output or SILENT

    def read(self, content: str | None) -> Reply:
        """Reads a reply.

        Raises:
            Malformed: It is empty.
        """
        text, thought = content or "", ""
        if self._reason and (found := _THOUGHT_TAGS.match(text)):
            text, thought = text[found.end() :], found[1].strip()
        if not text.strip():
            raise Malformed("the reply is empty")
        return Reply("" if text.strip() == SILENT else text, {}, thought)


def _short(text: str) -> str:
    line = " ".join(text[: _MOST_QUOTED * 4].split())
    return line if len(line) <= _MOST_QUOTED else line[: _MOST_QUOTED - 3] + "..."
