"""Checks of what callers give: each refusal names the argument, its value and the mend.

A range that is the server's to know is not checked here; that a value can be sent at all is.
"""

import math
import numbers
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, TypeVar

from plumb_client.errors import InvalidInput, InvalidType

_Item = TypeVar("_Item")

_MOST_SECONDS = 1e9  # about 30 years; a Duration holds ten thousand
_BITS = {32: 2**31 - 1, 64: 2**63 - 1}


def text(name: str, value: object) -> str:
    """Checks a text.

    Raises:
        InvalidType: It is no `str`.
        InvalidInput: It holds half a character, which cannot be sent.
    """
    if not isinstance(value, str):
        raise InvalidType(f"{name} is {shown(value)}; give a str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} has {value[error.start]!a} at {error.start}, which is no character; "
            "give text that can be encoded as UTF-8"
        ) from None
    return value


def data(name: str, value: object) -> bytes:
    """Checks a text or bytes, and encodes it; raises as `text` does."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        raise InvalidType(f"{name} is {shown(value)}; give a str or bytes")
    return text(name, value).encode()


def each(name: str, values: object, check: Callable[[str, object], _Item]) -> list[_Item]:
    """Checks a sequence, item by item.

    Raises:
        InvalidType: It is one text, or no sequence: a text would be taken letter by letter.
        InvalidInput: See `check`.
    """
    if isinstance(values, (str, bytes, bytearray, memoryview)):
        raise InvalidType(f"{name} is one text, {shown(values)}; give a list: {name}=[…]")
    if isinstance(values, (Mapping, Set)) or not isinstance(values, Iterable):
        raise InvalidType(f"{name} is {shown(values)}; give a list")
    return [check(f"{name}[{at}]", value) for at, value in enumerate(values)]


def texts_by_name(name: str, values: object) -> dict[str, str]:
    """Checks a mapping of texts to texts; raises as `text` does."""
    if not isinstance(values, Mapping):
        raise InvalidType(f"{name} is {shown(values)}; give a dict")
    return {
        text(f"a name in {name}", key): text(f"{name}[{shown(key)}]", value)
        for key, value in values.items()
    }


def seconds(name: str, value: object, *, least: float | None = None) -> float:
    """Checks a number of seconds; without `least` it must be above 0.

    Raises:
        InvalidType: It is no number.
        InvalidInput: It is out of range, or not finite.
    """
    number = real(name, value, "a number of seconds")
    is_low = number <= 0 if least is None else number < least
    if is_low or number > _MOST_SECONDS:
        bound = "above 0" if least is None else f"from {least:g}"
        raise InvalidInput(f"{name} is {shown(value)}; give a number of seconds {bound}")
    return number


def real(name: str, value: object, what: str = "a number") -> float:
    """Checks a finite number; raises as `seconds` does."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidType(f"{name} is {shown(value)}; give {what}")
    number = float(value)
    if not math.isfinite(number):
        raise InvalidInput(f"{name} is {number}; give {what} that is finite")
    return number


def whole(name: str, value: object, *, bits: int = 64) -> int:
    """Checks a whole number that the wire can hold; raises as `seconds` does."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidType(f"{name} is {shown(value)}; give a whole number")
    number = operator.index(value)
    if abs(number) > _BITS[bits]:
        raise InvalidInput(f"{name} is {shown(number)}; give at most {_BITS[bits]}")
    return number


def flag(name: str, value: object) -> bool:
    """Checks a truth value.

    Raises:
        InvalidType: It is none.
    """
    if not isinstance(value, bool):
        raise InvalidType(f"{name} is {shown(value)}; give True or False")
    return value


def known(what: str, given: Iterable[str], names: Iterable[str]) -> None:
    """Refuses names that mean nothing.

    Raises:
        InvalidType: There is one.
    """
    names = sorted(names)
    for name in sorted(map(str, given)):
        if name not in names:
            raise InvalidType(f"there is no {what} {name!r}; use {', '.join(names)}")


def shown(value: object) -> str:
    """A value as a message has it: short, whatever it is."""
    return _short.repr(value)


class _Short(reprlib.Repr):
    def repr_bytes(self, value: bytes, level: int) -> str:
        """Cuts bytes like a text."""
        return repr(value) if len(value) <= self.maxstring else f"{value[: self.maxstring]!r}…"

    def repr_instance(self, value: Any, level: int) -> str:
        """Names the class of what has no literal; its own repr may be long, or fail."""
        return f"a {type(value).__name__}"


_short = _Short()
_short.maxstring = _short.maxother = 60
