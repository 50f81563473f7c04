"""Arbitrary messages of the wire, made from its own descriptors: a new field is fuzzed at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import strategies as st

_DEPTH = 4
_BITS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_NEAR = (1, 1, 1, 2, 3, 0, -1, 600, 10**9)

_DURATIONS = st.builds(
    Duration,
    seconds=st.sampled_from([-(2**63), -1, 0, 1, 2, 3601, 10**12, 2**63 - 1]),
    nanos=st.sampled_from([-(2**31), -1, 0, 500_000_000, 2**31 - 1]),
)
"""Either none that anything could wait for, or short: a call that takes longer hangs."""

Words = Mapping[str, Sequence[str]]
"""By a field's name, values that lead further than arbitrary ones."""


def messages(of: Descriptor, words: Words, depth: int = _DEPTH) -> st.SearchStrategy[Message]:
    """Messages of a type: every field there or not, in its range or at its edge."""
    if of.full_name == "google.protobuf.Duration":
        return _DURATIONS
    fields = {
        field.name: _there_or_not(field, _values(field, words, depth), words)
        for field in of.fields
        if depth > 0 or field.message_type is None
    }
    make = message_factory.GetMessageClass(of)
    return st.fixed_dictionaries(fields).map(
        lambda values: make(**{name: value for name, value in values.items() if value is not None})
    )


def _there_or_not(
    field: FieldDescriptor, values: st.SearchStrategy[Any], words: Words
) -> st.SearchStrategy[Any]:
    """None where it is left out: the more seldom, the more depends on it."""
    known = field.name in words or field.message_type is None
    return st.integers(0, 5 if known else 1).flatmap(lambda at: values if at else st.none())


def _values(field: FieldDescriptor, words: Words, depth: int) -> st.SearchStrategy[Any]:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        entry = kind.fields_by_name
        return st.dictionaries(
            _one(entry["key"], words, depth), _one(entry["value"], words, depth), max_size=3
        )
    one = _one(field, words, depth)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _one(field: FieldDescriptor, words: Words, depth: int) -> st.SearchStrategy[Any]:
    known = words.get(field.name, ())
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            assert field.message_type is not None
            return messages(field.message_type, words, depth - 1)
        case FieldDescriptor.TYPE_STRING:
            return _mostly(st.sampled_from(known or [""]), st.text(max_size=40))
        case FieldDescriptor.TYPE_BYTES:
            actions = [word.encode() for word in known] or [b""]
            return _mostly(st.sampled_from(actions), st.binary(max_size=40))
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.TYPE_ENUM:
            return st.integers(-2, 40)
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return st.floats(width=32)
        case _:
            low, high = _BITS[field.type]
            near = [number for number in _NEAR if low <= number <= high]
            return _mostly(st.sampled_from(near), st.integers(low, high))


def _mostly(
    often: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.integers(0, 7).flatmap(lambda at: often if at else otherwise)
