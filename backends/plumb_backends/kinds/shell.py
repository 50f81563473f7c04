"""The kind `shell`: an interactive bash on a terminal of an Ubuntu machine, as root."""

import dataclasses
import re

from plumb_backends.errors import InvalidInput
from plumb_backends.kind import Kind

KIND = Kind(
    name="shell",
    summary="An interactive bash on a terminal of an Ubuntu machine, as root.",
    probe_suites=("cwd", "files"),
)

DEFAULT_HOSTNAME = "sandbox"
DEFAULT_TEXT_BYTES = 64 * 1024
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 1024, 1024 * 1024

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShellOptions:
    """What a session of this kind can be told.

    Attributes:
        image: Tag or digest of the image; empty for the server's.
        hostname: The host name inside: 1 to 63 letters, digits and hyphens.
        dumb_terminal: Whether the terminal is dumb: no colour, no title, no bracketed paste.
        max_text_bytes: The most bytes of `Observation.text` and of `Observation.raw`, each.

    Raises:
        InvalidInput: A value is out of its range.
    """

    image: str = ""
    hostname: str = DEFAULT_HOSTNAME
    dumb_terminal: bool = False
    max_text_bytes: int = DEFAULT_TEXT_BYTES

    def __post_init__(self) -> None:
        if not _HOSTNAME.fullmatch(self.hostname):
            raise InvalidInput(
                f"shell.hostname is {self.hostname!r}; use 1 to 63 letters, digits and hyphens"
            )
        if not MIN_TEXT_BYTES <= self.max_text_bytes <= MAX_TEXT_BYTES:
            raise InvalidInput(
                f"shell.max_text_bytes is {self.max_text_bytes}; "
                f"use {MIN_TEXT_BYTES} to {MAX_TEXT_BYTES}"
            )
