"""What the proto says in words about its services, messages, fields and values."""

import functools
import importlib.resources
import re
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_BY_NUMBER = {4: "message_type", 5: "enum_type", 6: "service"}
_INNER = {
    "message_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "nested_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "enum_type": {2: "value"},
    "service": {2: "method"},
}
"""Field numbers of descriptor.proto, of which source paths are made."""


def comment_on(full_name: str) -> str:
    """The comment above a definition, its lines joined; empty where there is none."""
    return _comments().get(full_name, "")


@functools.cache
def _comments() -> dict[str, str]:
    data = importlib.resources.files("plumb.v1").joinpath("descriptors.binpb").read_bytes()
    files = FileDescriptorSet.FromString(data).file
    return {name: text for file in files for name, text in _of_file(file)}


def _of_file(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if not location.leading_comments or len(location.path) % 2:
            continue
        name = _name(file, location.path)
        if name:
            yield f"{file.package}.{name}", _reflowed(location.leading_comments)


def _name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """The name of what a path leads to, from the package on; empty for what has none."""
    at: Any = file
    kinds, names = _BY_NUMBER, []
    for number, index in zip(path[::2], path[1::2], strict=True):
        kind = kinds.get(number)
        if kind is None:
            return ""
        at = getattr(at, kind)[index]
        names.append(at.name)
        kinds = _INNER.get(kind, {})
    return ".".join(names)


def _reflowed(comment: str) -> str:
    """Joins the lines of each paragraph and of each item of a list."""
    text = "\n".join(line.strip() for line in comment.strip().splitlines())
    return re.sub(r"(?<!\n)\n(?![\n*])", " ", text)
