"""All that can be set of the gateway. Read once, at start-up, from PLUMB_HTTP_* variables."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """The gateway's settings. `PLUMB_HTTP_LISTEN` sets `listen`, and so on."""

    model_config = SettingsConfigDict(env_prefix="PLUMB_HTTP_", frozen=True, extra="forbid")

    listen: str = Field(
        "",
        description="Where to serve HTTP: HOST:PORT; port 0 takes a free one. Empty: `plumb serve` "
        "serves gRPC alone. Off loopback as gRPC: with a token and TLS.",
    )
    hosts: str = Field(
        "",
        description="Names under which the gateway is reached, separated by commas; loopback's are "
        "always among them.",
    )
    scenarios: Path = Field(
        Path("scenarios"), description="A folder with scenarios (`*.jsonl`) to show."
    )
    runs: Path = Field(
        Path("out"), description="A folder with runs of `plumb bench` (`*/report.json`) to show."
    )
    leave_grace: float = Field(
        10.0,
        ge=0,
        description="Seconds after which a session ends whose browser went away and did not want "
        "to keep it.",
    )

    max_connections: int = Field(
        512,
        ge=1,
        description="Most connections over HTTP at once, live sockets among them; never more than "
        "a quarter of the descriptors that the process may open.",
    )
    max_connections_per_address: int = Field(
        128,
        ge=1,
        description="Most connections of one address at once (of a /64 of IPv6). Loopback has all.",
    )
    request_timeout: float = Field(
        10.0,
        gt=0,
        description="Seconds that a connection may take for the head of a request, or for the TLS "
        "handshake.",
    )
    stall_timeout: float = Field(
        20.0,
        gt=0,
        description="Seconds after which a request's body must have come, and an answer been read, "
        "at 4 KiB/s on average.",
    )
    sign_in_seconds: float = Field(
        12 * 3600.0,
        gt=0,
        description="Seconds after which whoever signed in on the pages must sign in again.",
    )

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if value and not (host and colon and port.isdigit() and int(port) < 65536):
            raise ValueError(f"{value!r} is not HOST:PORT, for example 127.0.0.1:8080")
        return value

    @property
    def own_hosts(self) -> frozenset[str]:
        """The names of `hosts`."""
        return frozenset(name.strip() for name in self.hosts.split(",") if name.strip())
