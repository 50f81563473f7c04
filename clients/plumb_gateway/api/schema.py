"""JSON schemas of the wire's messages, as `json_mapping` writes and reads them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from plumb_gateway.api.comments import comment_on
from plumb_gateway.api.json_mapping import (
    DURATION,
    MOST_SECONDS,
    NOT_FINITE,
    TIMESTAMP,
    enum_names,
    enum_of,
    is_map,
    map_value,
    message_of,
    whole_range,
)

Schema: TypeAlias = dict[str, Any]

BYTES: Schema = {
    "description": "A text, or an object for what is not UTF-8.",
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ],
}


class Schemas:
    """The schemas of a document: what requests take, and what responses give.

    A message that is in both has two: in a request all fields may be left out, in a response those
    are there that cannot be absent.
    """

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {"Bytes": BYTES}

    def of_request(self, kind: Descriptor, *, but: Iterable[str] = ()) -> Schema:
        """The schema of a request's body; fields that the path has are left out."""
        return self._object(kind, is_request=True, but=but)

    def of_response(self, kind: Descriptor) -> Schema:
        """A reference to the schema of a response."""
        return self._reference(kind, is_request=False)

    def of_field(self, field: FieldDescriptor, *, is_request: bool) -> Schema:
        """The schema of a field, with the comment on it."""
        schema = self._bare(field, is_request=is_request)
        comment = comment_on(field.full_name)
        return {**schema, "description": comment} if comment else schema

    def _reference(self, kind: Descriptor, *, is_request: bool) -> Schema:
        name = f"{kind.name}Input" if is_request else kind.name
        if name not in self.components:
            self.components[name] = {}  # for messages that hold their own kind
            self.components[name] = self._object(kind, is_request=is_request)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: Descriptor, *, is_request: bool, but: Iterable[str] = ()) -> Schema:
        fields = [field for field in kind.fields if field.name not in but]
        schema: Schema = {
            "type": "object",
            "description": comment_on(kind.full_name),
            "properties": {
                field.name: self.of_field(field, is_request=is_request) for field in fields
            },
            "additionalProperties": False,
        }
        required = [field.name for field in fields if _is_required(field, is_request=is_request)]
        return {**schema, "required": required} if required else schema

    def _bare(self, field: FieldDescriptor, *, is_request: bool) -> Schema:
        if is_map(field):
            values = self._value(map_value(field), is_request=is_request)
            return {"type": "object", "additionalProperties": values}
        value = self._value(field, is_request=is_request)
        return {"type": "array", "items": value} if field.is_repeated else value

    def _value(self, field: FieldDescriptor, *, is_request: bool) -> Schema:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return self._message(message_of(field), is_request=is_request)
        if field.type == FieldDescriptor.TYPE_ENUM:
            return {"type": "string", "enum": list(enum_names(enum_of(field)).values())}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"$ref": "#/components/schemas/Bytes"}
        numbers = whole_range(field)
        if numbers:
            return {"type": "integer", "minimum": numbers[0], "maximum": numbers[1]}
        if field.type == FieldDescriptor.TYPE_DOUBLE and not is_request:
            return {"anyOf": [{"type": "number"}, {"enum": list(NOT_FINITE)}]}
        return {"type": _PLAIN[field.type]}

    def _message(self, kind: Descriptor, *, is_request: bool) -> Schema:
        if kind.full_name == DURATION:
            limits = {"minimum": -MOST_SECONDS, "maximum": MOST_SECONDS}
            return {"type": "number", "title": "seconds", **(limits if is_request else {})}
        if kind.full_name == TIMESTAMP:
            return {"type": "string", "format": "date-time"}
        return self._reference(kind, is_request=is_request)


_PLAIN = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_DOUBLE: "number",
}


def _is_required(field: FieldDescriptor, *, is_request: bool) -> bool:
    """Whether a field is always there: in a request by its comment, which says `Required`."""
    if is_request:
        return "Required" in comment_on(field.full_name)
    return not field.has_presence
