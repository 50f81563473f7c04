"""The connector's connection on a stream of ours: through an engine to a server without a network.

A server of a session's own has no network at all. It is reached by a program that the engine
starts in its container, and that joins its standard streams to the server's port.
"""

import functools
import ssl
from typing import Any

from mysql.connector.aio import MySQLConnection
from mysql.connector.aio.network import MySQLSocket, MySQLTcpSocket
from mysql.connector.constants import ServerFlag

from plumb_backends.errors import SandboxUnavailable
from plumb_backends.real.engine import ProgramStream, Sandbox
from plumb_backends.real.sql.packets import Protocol
from plumb_backends.real.sql.row_gate import RowGate

_RELAY = "plumb-relay"
_STDOUT = 1


class WireConnection(MySQLConnection):
    """A connection whose rows pass a gate, and that may run over a relay.

    Attributes:
        gate: What bounds the rows.
        has_escapes: Whether a backslash escapes in a quote, by the session's `sql_mode`.
    """

    def __init__(self, socket: MySQLSocket, **options: Any) -> None:
        super().__init__(**options)
        self.gate = RowGate()
        self.has_escapes = True
        self._protocol = Protocol()
        socket._netbroker = self.gate
        self._wire = socket

    async def connect(self) -> None:
        """Connects and logs in; leaves nothing open when it fails."""
        self._socket = self._wire  # type: ignore[assignment]
        try:
            await self._wire.open_connection()
            await self._do_handshake()
            await self._do_auth()
            self.converter_class = self._converter_class
            await self._post_connection()
        except BaseException:
            await self._wire.close_connection()
            raise

    def _handle_server_status(self, flags: int) -> None:
        super()._handle_server_status(flags)
        self.has_escapes = not flags & ServerFlag.STATUS_NO_BACKSLASH_ESCAPES

    async def skip_results(self) -> None:
        """Throws away the results that are still to come; the gate has the error at their end."""
        reader = self._wire._reader
        if reader is None or not self._have_next_result:
            return
        status = await self.gate.skip_results(reader)
        self._handle_server_status(status & ~ServerFlag.MORE_RESULTS_EXISTS)


class DirectSocket(MySQLTcpSocket):
    """A TCP connection. Without a check of certificates, TLS has one context for all."""

    def build_ssl_context(self, *args: Any, **options: Any) -> ssl.SSLContext:
        """Builds the context as the connector does, or takes the one that checks nothing."""
        if options.get("ssl_verify_cert"):
            return super().build_ssl_context(*args, **options)
        return _unchecked()


@functools.cache
def _unchecked() -> ssl.SSLContext:
    """Made once: the connector reads the system's certificates anew each time, for 40 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class RelaySocket(MySQLSocket):
    """A connection to a port inside a container."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._port = port
        self._address = f"port {port} in the server's container"
        self._stream: ProgramStream | None = None

    async def open_connection(self, **_: Any) -> None:
        """Starts the relay in the container."""
        argv = (_RELAY, str(self._port))
        self._stream = await self._sandbox.open_program(argv, user=self._sandbox.spec.user)
        self._reader = _Reader(self._stream)  # type: ignore[assignment]
        self._writer = _Writer(self._stream)  # type: ignore[assignment]
        self._is_connected = True

    async def close_connection(self) -> None:
        """Hangs up: the relay ends with its standard input, and its connection with it."""
        self._is_connected = False
        if self._stream is not None:
            await self._stream.close()


class _Reader:
    """What the connector asks of a StreamReader."""

    def __init__(self, stream: ProgramStream) -> None:
        self._stream = stream
        self._left = memoryview(b"")

    async def read(self, most: int) -> bytes:
        """Returns the next bytes; empty at the end."""
        while not self._left:
            try:
                message = await self._stream.read()
            except SandboxUnavailable as error:
                raise ConnectionResetError(str(error)) from error
            if message is None:
                return b""
            if message[0] == _STDOUT:
                self._left = memoryview(message[1])
        piece, self._left = self._left[:most], self._left[most:]
        return bytes(piece)


class _Writer:
    """What the connector asks of a StreamWriter."""

    def __init__(self, stream: ProgramStream) -> None:
        self._stream = stream
        self._pending = b""

    def write(self, data: bytes) -> None:
        """Keeps what is to be sent."""
        self._pending += data

    async def drain(self) -> None:
        """Sends it."""
        data, self._pending = self._pending, b""
        try:
            await self._stream.write(data)
        except SandboxUnavailable as error:
            raise ConnectionResetError(str(error)) from error
