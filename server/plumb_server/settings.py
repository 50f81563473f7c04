"""All that whoever runs the server can set. Read once, at start-up, from PLUMB_* variables."""

import ipaddress

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from plumb_backends.errors import InvalidInput
from plumb_backends.real.hardening import Limits
from plumb_backends.real.mysql import RealMysqlSettings
from plumb_backends.real.pool import MOST_AGE, PoolSettings
from plumb_backends.real.shell import RealShellSettings
from plumb_backends.real.sql.access import parse_url
from plumb_backends.real.sql.row_gate import RowLimits
from plumb_backends.real.sql.servers import ServerSettings, own_limits, server_limits
from plumb_server.journal_space import JournalLimits
from plumb_server.session import ANSWER_WITHIN
from plumb_server.sessions import SessionLimits
from plumb_server.simulator_settings import SimulatorFields

_SHORTEST_TOKEN = 16
_TO_JUDGE = 30.0  # seconds for the real side of a pair, the verdict and the journal


def checked_token(token: str) -> str:
    """The token, if it will do.

    Raises:
        ValueError: It will not; the message does not show it.
    """
    if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise ValueError(
            f"a token has at least {_SHORTEST_TOKEN} printable ASCII characters; "
            "make one with `openssl rand -hex 32`"
        )
    if " " in token:
        raise ValueError("a token holds no space; make one with `openssl rand -hex 32`")
    return token


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches HOST:PORT."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(SimulatorFields):
    """The server's settings. `PLUMB_LISTEN` sets `listen`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMB_",
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,  # it may be a secret; `explain` shows what is none
    )

    listen: str = Field(
        "127.0.0.1:50051",
        description="Where to listen: HOST:PORT; port 0 takes a free one. Off loopback only with a "
        "token and TLS, or with client certificates.",
    )
    insecure_listen: bool = Field(
        False,
        description="Whether to listen off loopback also without token and TLS, where everybody "
        "may do everything.",
    )
    token: str = Field(
        "",
        description="The operator's token, at least 16 characters; callers send it as "
        "`authorization: Bearer TOKEN`. Empty: whoever reaches the server may do everything.",
        repr=False,
    )
    token_file: str = Field(
        "", description="A file that holds the token, instead of `PLUMB_TOKEN`."
    )
    require_token: bool = Field(
        False,
        description="Whether to refuse to start without a token, or client certificates.",
    )
    tls_cert: str = Field(
        "", description="A PEM file with the server's certificate and its chain; empty for no TLS."
    )
    tls_key: str = Field("", description="A PEM file with the certificate's key, unencrypted.")
    tls_client_ca: str = Field(
        "",
        description="A PEM file with the authorities whose certificates clients must have; empty "
        "where they need none.",
    )
    journal: str = Field(
        "sqlite:///plumb-journal.sqlite",
        description="Where sessions and steps are written before they are answered: an SQLAlchemy "
        "URL. "
        "`sqlite://` keeps it in memory.",
    )
    journal_bytes: int = Field(
        64 * 1024**3,
        ge=0,
        description="What the journal may hold; beyond that no session and no step is begun. 0: no "
        "limit. Measured for SQLite only.",
    )
    journal_reserve_bytes: int = Field(
        256 * 1024**2,
        ge=0,
        description="What stays free on the journal's disk: with less no session and no step is "
        "begun. Measured for SQLite only.",
    )
    session_journal_bytes: int = Field(
        256 * 1024**2,
        ge=1024**2,
        description="What the steps of one session may take in the journal; the step after that "
        "ends the session.",
    )
    journal_keep: float = Field(
        0.0,
        ge=0,
        description="Seconds after which ended sessions are removed from the journal; 0 for never.",
    )
    journal_prune: bool = Field(
        False,
        description="Whether the sessions that ended first are removed from the journal where it "
        "is nearly full.",
    )
    engine: str = Field(
        "", description="The container engine's address; empty for DOCKER_HOST or the usual socket."
    )
    shell_image: str = Field(
        "plumb-shell:latest", description="The image of shell sessions that name none."
    )
    shell_network: str = Field("none", description="The engine's network for shell sandboxes.")
    shell_runtime: str = Field(
        "", description="The engine's OCI runtime for shell sandboxes, for example runsc."
    )
    shell_memory_bytes: int = Field(
        1024**3, ge=16 * 1024**2, description="RAM of a shell sandbox, without swap."
    )
    shell_processes: int = Field(
        256, ge=16, description="Processes and threads of a shell sandbox."
    )
    shell_cpus: float = Field(
        2.0, gt=0, description="Cores of a shell sandbox; fractions are allowed."
    )
    shell_disk_bytes: int = Field(
        2 * 1024**3, ge=1024**2, description="What a shell sandbox may write to its disk."
    )
    shell_files: int = Field(
        2**18,
        ge=1024,
        description="Files that a shell sandbox may make or change, empty ones, too.",
    )
    mysql_url: str = Field(
        "",
        description="A MySQL server (8.0.21 or later) that sessions share, unless they ask for one "
        "of their own: `mysql://user:password@host:3306/`; TLS unless `?ssl=off`, verified with "
        "`?ssl_ca=FILE`. The user must be allowed to make users and databases.",
        repr=False,
    )
    mysql_image: str = Field(
        "plumb-mysql:latest", description="The image of the MySQL servers that plumb starts."
    )
    mysql_memory_bytes: int = Field(
        1024**3,
        ge=256 * 1024**2,
        description="RAM of a session's own MySQL server, its data included; one that sessions "
        "share has twice as much.",
    )
    mysql_disk_bytes: int = Field(
        512 * 1024**2,
        ge=1024**2,
        description="What may be written to the disk of a session's own MySQL server, and what a "
        "session's tables may take on one that it shares.",
    )
    mysql_max_servers: int = Field(
        64,
        ge=1,
        description="MySQL servers of sessions' own at the same time, those of the pool included; "
        "each takes about 130 MB.",
    )
    mysql_cpus: float = Field(
        2.0, gt=0, description="Cores of a MySQL server; fractions are allowed."
    )
    mysql_network: str = Field(
        "",
        description="Where plumb itself is a container: the engine's network that it is in. A "
        "MySQL server that sessions share joins it, and is reached there; elsewhere it is reached "
        "through a port on loopback. Servers of sessions' own have no network.",
    )
    mysql_runtime: str = Field(
        "", description="The engine's OCI runtime for MySQL servers, for example runsc."
    )
    mysql_max_result_bytes: int = Field(
        32 * 1024**2, ge=1024, description="What one statement may return before it is stopped."
    )
    shell_pool: int = Field(
        0,
        ge=0,
        description="Shell sandboxes that are made ahead of time, for sessions without an image, "
        "host name or runtime of their own; see docs/operations.md.",
    )
    mysql_pool: int = Field(
        2,
        ge=0,
        description="MySQL servers that are started ahead of time, once there was a session.",
    )
    pool_idle_timeout: float = Field(
        600.0,
        gt=0,
        description="Seconds without a session that could use it after which a pool empties "
        "itself, until the next.",
    )
    max_output_bytes: int = Field(
        1024**3, ge=1024, description="What one shell action may print before it is stopped."
    )
    max_sessions: int = Field(
        512,
        ge=1,
        description="Sessions at the same time, sandboxes of comparisons and groundings included.",
    )
    max_creations: int = Field(
        16,
        ge=1,
        description="Sandboxes of each kind that are made at the same time; others wait, for at "
        "most a minute.",
    )
    session_idle_timeout: float = Field(
        1800.0, gt=0, description="Seconds that a session lives without a call."
    )
    session_max_life: float = Field(
        24 * 3600.0, gt=0, description="Seconds that a session lives in any case."
    )
    sweep_interval: float = Field(
        15.0, gt=0, description="Seconds between two looks for what has outlived its time."
    )
    health_interval: float = Field(
        5.0, gt=0, description="Seconds between two questions to the engine."
    )
    shutdown_grace: float = Field(
        10.0, ge=0, description="Seconds that running actions get when the server goes down."
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port for Prometheus on loopback; 0 for none."
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="The least that is logged."
    )
    log_format: str = Field(
        "console", pattern="^(console|json)$", description="How to log: console or json."
    )

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdigit() and int(port) < 65536):
            raise ValueError(f"{value!r} is not HOST:PORT, for example 127.0.0.1:50051")
        return value

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, value: str) -> str:
        return checked_token(value) if value else value

    @field_validator("mysql_url")
    @classmethod
    def _is_a_mysql_url(cls, value: str) -> str:
        if value:
            try:
                parse_url(value)
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.listen)

    def session_limits(self) -> SessionLimits:
        """When sessions end, and how many there may be."""
        return SessionLimits(
            most=self.max_sessions,
            idle_timeout=self.session_idle_timeout,
            max_life=self.session_max_life,
            journal_bytes=self.session_journal_bytes,
            answer_within=max(ANSWER_WITHIN, self.simulator_step_seconds + _TO_JUDGE),
        )

    def journal_limits(self) -> JournalLimits:
        """How much room the journal may take."""
        return JournalLimits(
            most=self.journal_bytes,
            reserve=self.journal_reserve_bytes,
            prunes=self.journal_prune,
            keep=self.journal_keep,
        )

    def real_shell(self) -> RealShellSettings:
        """The settings of the real shell."""
        return RealShellSettings(
            engine=self.engine,
            image=self.shell_image,
            limits=Limits(
                memory_bytes=self.shell_memory_bytes,
                processes=self.shell_processes,
                cpus=self.shell_cpus,
                disk_bytes=self.shell_disk_bytes,
                files=self.shell_files,
                lifetime=self.session_max_life + 60,  # the server ends it first, if it lives
            ),
            network=self.shell_network,
            runtime=self.shell_runtime,
            max_output_bytes=self.max_output_bytes,
            max_creations=self.max_creations,
            pool=PoolSettings(size=self.shell_pool, idle_timeout=self.pool_idle_timeout),
        )

    def real_mysql(self) -> RealMysqlSettings:
        """The settings of the real MySQL."""
        return RealMysqlSettings(
            engine=self.engine,
            servers=ServerSettings(
                image=self.mysql_image,
                url=self.mysql_url,
                limits=server_limits(
                    memory_bytes=2 * self.mysql_memory_bytes,
                    cpus=self.mysql_cpus,
                    max_session_life=self.session_max_life,
                ),
                own_limits=own_limits(
                    memory_bytes=self.mysql_memory_bytes,
                    disk_bytes=self.mysql_disk_bytes,
                    cpus=self.mysql_cpus,
                    lifetime=self.session_max_life + MOST_AGE + 60,
                ),
                network=self.mysql_network,
                runtime=self.mysql_runtime,
            ),
            limits=RowLimits(stop_bytes=self.mysql_max_result_bytes),
            max_life=self.session_max_life + 60,
            disk_bytes=self.mysql_disk_bytes,
            max_creations=self.max_creations,
            max_servers=self.mysql_max_servers,
            pool=PoolSettings(
                size=self.mysql_pool, idle_timeout=self.pool_idle_timeout, is_lazy=True
            ),
        )
