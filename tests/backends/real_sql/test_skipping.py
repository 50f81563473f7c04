"""Results that nobody wants any more are skipped up to the end of the last one, however cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from plumb_backends.real.sql.skipping import Skipper

MORE, LAST = 0x0008, 0x0000


def packet(body: bytes, number: int = 1) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def ok(status: int, affected: bytes = b"\x00") -> bytes:
    return packet(b"\x00" + affected + b"\x00" + status.to_bytes(2, "little") + b"\0\0")


def eof(status: int) -> bytes:
    return packet(b"\xfe\0\0" + status.to_bytes(2, "little"))


def rows(status: int, *bodies: bytes, columns: int = 2) -> bytes:
    described = [packet(b"\x03def" + b"c" * 40)] * columns
    return b"".join(
        [packet(bytes([columns])), *described, eof(LAST), *map(packet, bodies), eof(status)]
    )


ERROR = packet(b"\xff\x25\x05#70100Query execution was interrupted")

STREAMS: dict[str, tuple[Sequence[bytes], bytes]] = {
    "one OK": ([ok(LAST)], b""),
    "OKs, one with a large number": ([ok(MORE, b"\xfe" + b"\1" * 8), ok(LAST)], b""),
    "an error": ([ERROR], ERROR),
    "rows, then an OK": ([rows(MORE, b"\x011\x012"), ok(LAST)], b""),
    "no rows": ([rows(LAST)], b""),
    "rows, then an error": ([rows(MORE, b"\x011\xfb"), ERROR], ERROR),
    "an error among rows": ([rows(LAST, b"\x011")[:-9], ERROR], ERROR),
    "a row that begins like an end": ([rows(LAST, b"\xfe" + b"\0" * 40)], b""),
    "an empty row of one column": ([rows(LAST, b"\x00", b"", columns=1)], b""),
    "many columns": ([rows(LAST, b"\x01x" * 200, columns=200)], b""),
}


@pytest.mark.parametrize("size", [1, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("stream", STREAMS)
def test_results_are_skipped_to_the_end_of_the_last(stream: str, size: int) -> None:
    parts, error = STREAMS[stream]
    sent = b"".join(parts)
    skipper = Skipper()
    for start in range(0, len(sent), size):
        assert not skipper.is_done
        skipper.feed(sent[start : start + size])
    assert skipper.is_done
    assert skipper.error == error


def test_a_row_of_more_than_16_mib_is_one_row() -> None:
    full = b"\xff\xff\xff\x01" + b"\x00" * 0xFFFFFF
    skipper = Skipper()
    skipper.feed(rows(LAST)[:-9])
    for piece in (full, packet(b"\xfe\0\0\0\0"), eof(MORE)):  # the second goes on with the row
        skipper.feed(piece)
        assert not skipper.is_done
    skipper.feed(ok(LAST))
    assert skipper.is_done
