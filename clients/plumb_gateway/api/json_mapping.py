"""Messages as JSON, and back.

The names are the proto's. Where proto3's own mapping would be awkward for people, ours differs:
whole numbers are numbers whatever their size, durations are seconds, enum values have no prefix,
and bytes are a text where they are UTF-8, else `{"base64": "..."}`; both are taken.
"""

import base64
import binascii
import math
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Json: TypeAlias = Any
_Message = TypeVar("_Message", bound=Message)

_WHOLE = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
DURATION = Duration.DESCRIPTOR.full_name
TIMESTAMP = Timestamp.DESCRIPTOR.full_name
MOST_SECONDS = 315_576_000_000
"""The longest duration that the wire knows: about 10,000 years."""


NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""How numbers are written that JSON does not have. Only responses have such."""


class BadJson(ValueError):
    """Some JSON is not what a message needs; the message names the field and the mend."""


def whole_range(field: FieldDescriptor) -> tuple[int, int] | None:
    """The least and the most that a field of whole numbers takes; None for other fields."""
    return _WHOLE.get(field.type)


def fields_of(message: Message) -> Sequence[FieldDescriptor]:
    """The fields of a message's kind."""
    return cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)  # or upb's, which is alike


def message_of(field: FieldDescriptor) -> Descriptor:
    """The kind of message that a field holds."""
    kind = field.message_type
    assert kind is not None, field.full_name  # noqa: S101 - of other fields nobody asks
    return kind


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """The enum that a field holds."""
    enum = field.enum_type
    assert enum is not None, field.full_name  # noqa: S101 - of other fields nobody asks
    return enum


def map_value(field: FieldDescriptor) -> FieldDescriptor:
    """What the values of a map are."""
    return message_of(field).fields_by_name["value"]


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map."""
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def enum_names(enum: EnumDescriptor) -> dict[int, str]:
    """The values' names without their prefix, by number."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix) for value in enum.values}


# Writing.


def to_json(message: Message) -> Json:
    """Writes a message. Fields that can be absent are left out where they are."""
    if isinstance(message, Duration):
        return message.ToNanoseconds() / 1e9
    if isinstance(message, Timestamp):
        return message.ToJsonString()
    return {
        field.name: _field_to_json(message, field)
        for field in fields_of(message)
        if not field.has_presence or message.HasField(field.name)
    }


def _field_to_json(message: Message, field: FieldDescriptor) -> Json:
    value = getattr(message, field.name)
    if is_map(field):
        of = map_value(field)
        return {str(key): _value_to_json(value[key], of) for key in sorted(value)}
    if field.is_repeated:
        return [_value_to_json(one, field) for one in value]
    return _value_to_json(value, field)


def _value_to_json(value: Any, field: FieldDescriptor) -> Json:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return to_json(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes_to_json(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_names(enum_of(field)).get(value, str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return _not_finite(value)
    return value


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def bytes_to_json(data: bytes) -> Json:
    """Writes bytes: as text where they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


# Reading.


def from_json(data: Json, kind: type[_Message], where: str = "") -> _Message:
    """Reads a message.

    Args:
        data: An object, as `json.loads` gives it.
        kind: The message's class.
        where: The field that it stands in; empty for a whole body.

    Raises:
        BadJson: It is none.
    """
    message = kind()
    _read_into(message, data, where)
    return message


def _read_into(message: Message, data: Json, where: str) -> None:
    if isinstance(message, Duration):
        message.FromNanoseconds(round(_seconds(data, where) * 1e9))
        return
    if isinstance(message, Timestamp):
        _read_timestamp(message, data, where)
        return
    fields = {field.name: field for field in fields_of(message)}
    for name, value in _object(data, where).items():
        at = f"{where}.{name}" if where else name
        if name not in fields:
            raise BadJson(f"there is no field {at!r}; use {_listed(fields)}")
        if value is None:
            continue  # the same as leaving it out
        group = fields[name].containing_oneof
        taken = message.WhichOneof(group.name) if group else None
        if taken:
            raise BadJson(f"{at} and {taken} exclude each other; leave one out")
        _read_field(message, fields[name], value, at)


def _read_field(message: Message, field: FieldDescriptor, value: Json, at: str) -> None:
    if is_map(field):
        of = map_value(field)
        for key, one in _object(value, at).items():
            name = _text(key, f"a name in {at}")
            getattr(message, field.name)[name] = _read_value(one, of, f"{at}.{name}")
    elif field.is_repeated:
        if not isinstance(value, list):
            raise BadJson(f"{at} is {shown(value)}; use a list")
        target = getattr(message, field.name)
        for number, one in enumerate(value):
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                _read_into(target.add(), one, f"{at}[{number}]")
            else:
                target.append(_read_value(one, field, f"{at}[{number}]"))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        target = getattr(message, field.name)
        target.SetInParent()
        _read_into(target, value, at)
    else:
        setattr(message, field.name, _read_value(value, field, at))


def _read_value(value: Json, field: FieldDescriptor, at: str) -> Any:
    return _READERS[field.type](value, field, at)


def _read_whole(value: Json, field: FieldDescriptor, at: str) -> int:
    least, most = _WHOLE[field.type]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadJson(f"{at} is {shown(value)}; use a whole number from {least} to {most}")
    return value


def _read_real(value: Json, _: FieldDescriptor, at: str) -> float:
    return _number(value, at)


def _read_flag(value: Json, _: FieldDescriptor, at: str) -> bool:
    if not isinstance(value, bool):
        raise BadJson(f"{at} is {shown(value)}; use true or false")
    return value


def _read_text(value: Json, _: FieldDescriptor, at: str) -> str:
    return _text(value, at)


def _read_bytes(value: Json, _: FieldDescriptor, at: str) -> bytes:
    if isinstance(value, dict) and list(value) == ["base64"]:
        try:
            return base64.b64decode(_text(value["base64"], at), validate=True)
        except (binascii.Error, ValueError):
            raise BadJson(f"{at} is not base64; use a text, or mend it") from None
    return _text(value, at).encode()


def _read_enum(value: Json, field: FieldDescriptor, at: str) -> int:
    numbers = {name: number for number, name in enum_names(enum_of(field)).items()}
    if not isinstance(value, str) or value not in numbers:
        raise BadJson(f"{at} is {shown(value)}; use one of: {', '.join(numbers)}")
    return numbers[value]


_READERS: Mapping[int, Callable[[Json, FieldDescriptor, str], Any]] = {
    FieldDescriptor.TYPE_INT32: _read_whole,
    FieldDescriptor.TYPE_INT64: _read_whole,
    FieldDescriptor.TYPE_UINT64: _read_whole,
    FieldDescriptor.TYPE_DOUBLE: _read_real,
    FieldDescriptor.TYPE_BOOL: _read_flag,
    FieldDescriptor.TYPE_STRING: _read_text,
    FieldDescriptor.TYPE_BYTES: _read_bytes,
    FieldDescriptor.TYPE_ENUM: _read_enum,
}


def _object(data: Json, where: str) -> dict[str, Json]:
    if not isinstance(data, dict):
        raise BadJson(f"{where or 'the body'} is {shown(data)}; use an object")
    return data


def _text(value: Json, at: str) -> str:
    if not isinstance(value, str):
        raise BadJson(f"{at} is {shown(value)}; use a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadJson(f"{at} has half of a surrogate pair; use valid Unicode") from None
    return value


def _number(value: Json, at: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadJson(f"{at} is {shown(value)}; use a number")
    return number


def _seconds(value: Json, at: str) -> float:
    seconds = _number(value, at)
    if abs(seconds) > MOST_SECONDS:
        raise BadJson(f"{at} is {shown(value)}; use seconds, at most {MOST_SECONDS}")
    return seconds


def _read_timestamp(message: Timestamp, data: Json, at: str) -> None:
    try:
        message.FromJsonString(_text(data, at))
    except ValueError as error:
        raise BadJson(f"{at} is {shown(data)}; use a time such as 2026-11-26T12:00:00Z") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none, for it has no fields"


_brief = reprlib.Repr()  # looks at no more than it shows, however long or deep a value is
_brief.maxstring = _brief.maxlong = _brief.maxother = 60


def shown(value: Json) -> str:
    """A value as messages show it: the beginning of it."""
    return _brief.repr(value)[:60]
