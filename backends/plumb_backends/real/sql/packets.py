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

_HEADER = 4
_ERROR, _LEAST_ERROR = 0xFF, 3
_NO_STATE = "HY000"


class Protocol(MySQLProtocol):
    """The connector's protocol, for texts in any character set."""

    @staticmethod
    def parse_column(packet: bytes, encoding: str = "utf-8") -> DescriptionType:
        """Parses the description of a column."""
        rest = packet[_HEADER:]
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
        rest, affected_rows = read_lc_int(packet[_HEADER + 1 :])
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
    if len(body) < _LEAST_ERROR or body[0] != _ERROR:
        return None
    errno, text = int.from_bytes(body[1:3], "little"), bytes(body[3:])
    state = _NO_STATE
    if text[:1] == b"#":
        state, text = text[1:6].decode(errors="replace"), text[6:]
    return RawError(errno=errno, sqlstate=state, message=text.decode(errors="replace"))
