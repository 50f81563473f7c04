"""Messages of the wire for hypothesis, made from their descriptors: whatever a field may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from plumb_gateway.api.json_mapping import fields_of, is_map, map_value, message_of, whole_range
from plumb_gateway.api.routes import SERVICES

MESSAGES: Mapping[str, type[Message]] = {
    kind.name: GetMessageClass(kind)
    for service in SERVICES.values()
    for method in service.methods
    for kind in (method.input_type, method.output_type)
}
"""What is asked of every service, and answered, by name."""

_FIRST_YEAR, _LAST_YEAR = -62_135_596_800, 253_402_300_799
"""The range of a Timestamp, in Unix time."""
_DEEPEST = 4

_PLAIN: Mapping[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=20),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
}


@st.composite
def message_of_kind(draw: st.DrawFn, kind: type[Message], deep: int = 0) -> Any:
    """Any message of a kind, down to a depth."""
    message = kind()
    if isinstance(message, Duration):
        # As seconds in JSON, the nanosecond is held up to 26 days.
        message.FromNanoseconds(draw(st.integers(-(2**51), 2**51)))
        return message
    if isinstance(message, Timestamp):
        message.seconds = draw(st.integers(_FIRST_YEAR, _LAST_YEAR))
        message.nanos = draw(st.integers(0, 999_999_999))
        return message
    groups = {name: draw(st.integers(0, 5)) for name in message.DESCRIPTOR.oneofs_by_name}
    for field in fields_of(message):
        group = field.containing_oneof
        if group and list(group.fields).index(field) != groups[group.name] % len(group.fields):
            continue
        if draw(st.booleans()):
            _fill(draw, message, field, deep)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, deep: int) -> None:
    if is_map(field):
        values = st.dictionaries(st.text(max_size=5), _value(map_value(field), deep), max_size=3)
        getattr(message, field.name).update(draw(values))
        return
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if deep == _DEEPEST:
            return
        one = _value(field, deep)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(one, max_size=3)))
        else:
            getattr(message, field.name).CopyFrom(draw(one))
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_value(field, deep), max_size=3)))
    else:
        setattr(message, field.name, draw(_value(field, deep)))


def _value(field: FieldDescriptor, deep: int) -> st.SearchStrategy[Any]:
    numbers = whole_range(field)
    if numbers:
        return st.integers(*numbers)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return message_of_kind(GetMessageClass(message_of(field)), deep + 1)
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert field.enum_type is not None
        return st.sampled_from(sorted(field.enum_type.values_by_number))
    return _PLAIN[field.type]
