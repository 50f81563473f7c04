"""How a reply is asked for, and read back: JSON by a schema, or plain text.

What is not as asked for is `Malformed`, with a reason for people, and is sampled again.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from plumb_backends.kind import Part, Printed, Reply
from plumb_backends.simulated.ledger import FIELD, LEDGER, MOST_CHARACTERS
from plumb_backends.simulated.messages import sendable
from plumb_backends.simulated.prompting import Prompt, shipped

Fields = Mapping[str, Mapping[str, object]]
"""What a JSON object holds: name -> its JSON schema."""

_MOST_DEPTH = 8
_MOST_QUOTED = 80
_MOST_TAG = 8192  # characters at the end of a text that are looked at for its tag
_LARGEST = 2**63 - 1

SILENT = "<silent/>"
_OUTPUT = {
    "type": "string",
    "description": "what is printed until it ends or is stopped, character for character",
}
_THOUGHT = {"type": "string", "description": "step by step, for nobody to see"}
_TYPES: Mapping[object, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}
_MAY_LACK = ("ending", "printed", FIELD)
"""Fields that some endpoints leave out where they do not hold to schemas: the usual is meant."""

_END_TAG = re.compile(r"(?:^|\n)<end((?: +\w+=\"[^\"\n]*\")*) */>\s*\Z")
_END_FACT = re.compile(r"(\w+)=\"([^\"\n]*)\"")
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


_PRINTED_FIELDS: Fields = {
    "seconds": {"type": "number", "description": "seconds from its beginning"},
    "lines": {"type": "integer", "description": "how many lines are printed by then, in all"},
}
_PRINTED = {
    "type": "array",
    "items": object_schema(_PRINTED_FIELDS),
    "description": "what is printed by when, where it waits while it prints: one entry for each "
    "time at which something is printed, `seconds` from its beginning and how many `lines` of the "
    "output are printed by then in all; an empty list where all is printed at once",
}


def read_object(
    content: str | None, fields: Fields, *, may_lack: Collection[str] = ()
) -> dict[str, Any]:
    """Reads a JSON object that has at least these fields.

    Args:
        content: The text.
        fields: What it holds.
        may_lack: Fields that are left out of what is given where they are missing.

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
    return {
        name: _read_field(data, name, schema)
        for name, schema in fields.items()
        if name not in may_lack or data.get(name) is not None
    }


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _read_field(data: Mapping[str, object], name: str, schema: Mapping[str, object]) -> Any:
    """Reads one field; what nobody asked for is not looked at."""
    if name not in data:
        raise Malformed(f"the reply has no field {name!r}")
    value = _sendable(name, data[name], _MOST_DEPTH)
    allowed = schema.get("enum")
    if not _is_of(value, schema["type"]) or (isinstance(allowed, list) and value not in allowed):
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
        keeps_ledger: Whether the last field is a ledger; see `ledger`.
    """

    def __init__(self, part: Part, *, reason: bool, keeps_ledger: bool = False) -> None:
        thought = {"thought": _THOUGHT} if reason else {}
        self._part = part
        self._fields: Fields = {**thought, "output": _OUTPUT, **part.facts, "printed": _PRINTED}
        if keeps_ledger:
            self._fields = {**self._fields, FIELD: LEDGER}
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
        printed = [{"seconds": one.seconds, "lines": one.lines} for one in reply.printed]
        written = {**thought, "output": reply.output, **facts, "printed": printed}
        return json.dumps(written, ensure_ascii=False)

    def read(self, content: str | None) -> Reply:
        """Reads a reply.

        Raises:
            Malformed: It is not as asked for, or its facts are impossible.
        """
        data = read_object(content, self._fields, may_lack=_MAY_LACK)
        facts = {name: data[name] for name in self._part.facts if name in data}
        if impossible := self._part.check_facts(facts):
            raise Malformed(impossible)
        printed = tuple(map(_read_printed, data.get("printed", ())))
        ledger = str(data.get(FIELD, ""))
        if len(ledger) > MOST_CHARACTERS:
            raise Malformed(f"the ledger has {len(ledger)} characters, more than {MOST_CHARACTERS}")
        return Reply(data["output"], facts, str(data.get("thought", "")), printed, ledger)

    def read_output(self, content: str | None) -> Reply | None:
        """What is left of a reply that is malformed: its output, or a text; None where none is."""
        try:
            output: str = read_object(content, {"output": _OUTPUT})["output"]
        except Malformed:
            output = content or ""
            if output.lstrip()[:1] in ("{", "[", "`"):  # meant as JSON, and not to be shown
                return None
        return Reply(output) if output.strip() else None


class TextFormat:
    """Replies as plain text, with what else is known in a tag behind it.

    An action without output has a word of its own, so that an empty reply, which is what broken
    endpoints give, is never taken for one. Where the tag is missing, nothing else is known.

    Args:
        part: What the kind asks for.
        reason: Whether the model thinks first, between tags.
    """

    schema: Mapping[str, object] | None = None

    def __init__(self, part: Part, *, reason: bool) -> None:
        self._part = part
        self._reason = reason

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that say it."""
        return (shipped("format_text"), *((shipped("reason_text"),) if self._reason else ()))

    def ask(self) -> str:
        """What the model is told about it."""
        thought = shipped("reason_text").fill() if self._reason else ""
        facts = self._part.facts
        tag = " ".join(f'{name}="..."' for name in facts)
        lines = [f"- `{name}`: {field['description']}" for name, field in facts.items()]
        return shipped("format_text").fill(tag=tag, facts="\n".join(lines), thought=thought)

    def write(self, reply: Reply) -> str:
        """Writes a reply as a model should: for examples, and for the past."""
        output = reply.output or SILENT
        known = [f'{name}="{reply.facts[name]}"' for name in self._part.facts
                 if name in reply.facts and '"' not in str(reply.facts[name])]  # fmt: skip
        if not known:
            return output
        return f"{output.removesuffix(chr(10))}\n<end {' '.join(known)}/>"

    def read(self, content: str | None) -> Reply:
        """Reads a reply.

        Raises:
            Malformed: It is empty, or its facts are impossible.
        """
        text, thought = content or "", ""
        if self._reason and (found := _THOUGHT_TAGS.match(text)):
            text, thought = text[found.end() :], found[1].strip()
        if not text.strip():
            raise Malformed("the reply is empty")
        text, facts = self._read_tag(text)
        if impossible := self._part.check_facts(facts):
            raise Malformed(impossible)
        return Reply("" if text.strip() in ("", SILENT) else text, facts, thought)

    def read_output(self, content: str | None) -> Reply | None:
        """What is left of a reply that is malformed; None where no text is."""
        text = content or ""
        if self._reason and (found := _THOUGHT_TAGS.match(text)):
            text = text[found.end() :]
        output = self._read_tag(text)[0]
        return Reply(output) if output.strip() else None

    def _read_tag(self, text: str) -> tuple[str, dict[str, Any]]:
        """Parts a reply from the tag behind it; what is no value of its fact is not known."""
        found = _END_TAG.search(text, max(0, len(text) - _MOST_TAG))
        if found is None:
            return text, {}
        asked = self._part.facts
        said = {name: _value(value, asked[name])
                for name, value in _END_FACT.findall(found[1]) if name in asked}  # fmt: skip
        end = found.start() + 1 if text[found.start()] == "\n" else found.start()
        return text[:end], {name: value for name, value in said.items() if value is not None}


def _value(text: str, schema: Mapping[str, object]) -> str | int | float | None:
    """A fact that was written as text; None where it is none."""
    allowed = schema.get("enum")
    if schema["type"] == "string":
        return text if not isinstance(allowed, list) or text in allowed else None
    try:
        value = int(text) if schema["type"] == "integer" else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and -_LARGEST <= value <= _LARGEST else None


def _read_printed(entry: Any) -> Printed:
    """Reads one entry of what is printed by when."""
    if not isinstance(entry, dict):
        raise Malformed(f"an entry of the reply's field 'printed' is {_short(json.dumps(entry))}")
    read = {name: _read_field(entry, name, schema) for name, schema in _PRINTED_FIELDS.items()}
    if min(read.values()) < 0:
        raise Malformed(f"an entry of the reply's field 'printed' is {_short(json.dumps(entry))}")
    return Printed(read["seconds"], read["lines"])


def _short(text: str) -> str:
    line = " ".join(text[: _MOST_QUOTED * 4].split())
    return line if len(line) <= _MOST_QUOTED else line[: _MOST_QUOTED - 3] + "..."
