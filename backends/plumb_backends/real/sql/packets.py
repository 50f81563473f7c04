"""MySQL's packets as they are, not as the connector hopes for them.

A session chooses in which character set names and messages come (`SET character_set_results`), and
the connector takes all for UTF-8: what is none would break off in the middle of a result, and the
next statement would get the rest of this one's answer. Here a byte that is no UTF-8 is replaced.
"""

import struct

from mysql.connector.aio.protocol import MySQLProtocol
from mysql.connector.constants import FieldFlag
from mysql.connector.types import DescriptionType, OkPacketType
from mysql.connector.utils import read_lc_int, read_lc_string

from plumb_backends.sql.result import RawError

HEADER = 4
"""Bytes in front of a packet's body: its length in three, its number in one."""

FULL = 0xFFFFFF
"""A packet of this length goes on in the next one."""

OK, END, ERROR = 0x00, 0xFE, 0xFF
"""How the bodies of packets begin that are no rows."""

LONGEST_END = 8
"""A longer body that begins like an end is a row."""

_LEAST_ERROR = 3
_NO_STATE = "HY000"


class Protocol(MySQLProtocol):
    """The connector's protocol, for texts in any character set."""

    @staticmethod
    def parse_column(packet: bytes, encoding: str = "utf-8") -> DescriptionType:
        """Parses the description of a column."""
        rest = packet[HEADER:]
        names = []
        for _ in range(6):  # catalog, database, table, its own name, the column's, its own
            rest, name = read_lc_string(rest)
            names.append(name)
        charset, _, type_code, flags, _ = struct.unpack("<xHIBHBxx", rest)
        is_nullable = ~flags & FieldFlag.NOT_NULL
        text = bytes(names[4] or b"").decode(encoding, errors="replace")
        return text, type_code, None, None, None, None, is_nullable, flags, charset

    @staticmethod
    def parse_ok(packet: bytes) -> OkPacketType:
        """Parses the end of a statement without rows."""
        rest, affected_rows = read_lc_int(packet[HEADER + 1 :])
        rest, insert_id = read_lc_int(rest)
        status, warnings = struct.unpack("<HH", rest[:4])
        parsed: OkPacketType = {
            "field_count": 0,
            "affected_rows": affected_rows,
            "insert_id": insert_id,
            "status_flag": status,
            "warning_count": warnings,
        }
        if rest[4:]:
            _, said = read_lc_string(rest[4:])
            parsed["info_msg"] = bytes(said or b"").decode(errors="replace")
        return parsed


def parse_error(body: bytes | bytearray) -> RawError | None:
    """Parses a packet's body, where it is an error."""
    if len(body) < _LEAST_ERROR or body[0] != ERROR:
        return None
    errno, text = int.from_bytes(body[1:3], "little"), bytes(body[3:])
    state = _NO_STATE
    if text[:1] == b"#":
        state, text = text[1:6].decode(errors="replace"), text[6:]
    return RawError(errno=errno, sqlstate=state, message=text.decode(errors="replace"))
