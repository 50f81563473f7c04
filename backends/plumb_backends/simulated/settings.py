"""What whoever runs the server can tell the simulators."""

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from pathlib import Path


class CassetteMode(enum.Enum):
    """What is done with recorded replies.

    `OFF`: nothing. `RECORD`: every reply is asked for and written. `REPLAY`: only recorded replies
    are given. `AUTO`: recorded ones are given, others are asked for and written.
    """

    OFF = "off"
    RECORD = "record"
    REPLAY = "replay"
    AUTO = "auto"


class ReplyFormat(enum.Enum):
    """How a model writes its replies.

    `AUTO`: as JSON by a schema, and as text where the endpoint does not know schemas.
    """

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """What may be spent; 0 means without limit.

    Attributes:
        tokens: Sent and received together.
        usd: By the known prices.
        seconds: Of waiting for the endpoint.

    Raises:
        ValueError: One is negative, or no number.
    """

    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_amounts("a budget", self.tokens, self.usd, self.seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars for a million tokens sent, and received.

    Raises:
        ValueError: One is negative, or no number.
    """

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        _check_amounts("a price", self.prompt, self.completion)


def _check_amounts(what: str, *amounts: float) -> None:
    """A comparison with NaN is never true: such a budget would never be spent."""
    for amount in amounts:
        if not (math.isfinite(amount) and amount >= 0):
            raise ValueError(f"{what} is {amount:g}; use a number from 0 on")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One finished call of a model, for whoever counts.

    Attributes:
        model: Its name.
        outcome: `replied`, `cassette`, or the error's class, for example `ModelTimedOut`.
        prompt_tokens: Sent.
        completion_tokens: Received.
        usd: What it cost, where the price is known.
        seconds: How long it took, retries included.
    """

    model: str
    outcome: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


def _ignore(_: Call) -> None:
    """For calls that nobody counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """What this backend can be told by whoever runs the server.

    Attributes:
        api_key: The endpoint's key; empty where it wants none.
        base_url: The endpoint; empty for OpenAI's.
        concurrency: Requests at the same time.
        max_retries: How often one request is tried again after a 408, 409, 429, 5xx or a lost
            connection.
        step_seconds: What one step may take, retries, attempts and critics included.
        max_reply_tokens: What one reply may be long, reasoning included.
        context_tokens: What the model can be told at once, its reply included; older turns are
            dropped beyond that.
        reply_format: See there.
        cassette: The file with recorded replies; None for none.
        cassette_mode: See there.
        session_budget: Of each session.
        server_budget: Of all together, since the server started.
        prices: By model.
        strategies: A folder with strategies beside the shipped ones; None for none.
        ground_for_real: Whether init scripts are run in a real sandbox first, so that they are
            known to work and `snapshot` can tell what they left.
        on_call: Is told of every call.
    """

    api_key: str = dataclasses.field(default="", repr=False)
    base_url: str = ""
    concurrency: int = 8
    max_retries: int = 4
    step_seconds: float = 60.0
    max_reply_tokens: int = 4096
    context_tokens: int = 128_000
    reply_format: ReplyFormat = ReplyFormat.AUTO
    cassette: Path | None = None
    cassette_mode: CassetteMode = CassetteMode.OFF
    session_budget: BudgetLimits = dataclasses.field(default_factory=BudgetLimits)
    server_budget: BudgetLimits = dataclasses.field(default_factory=BudgetLimits)
    prices: Mapping[str, Price] = dataclasses.field(default_factory=dict)
    strategies: Path | None = None
    ground_for_real: bool = True
    on_call: Callable[[Call], None] = _ignore

    @property
    def has_endpoint(self) -> bool:
        """Whether there is somebody to ask."""
        return bool(self.api_key or self.base_url)


@dataclasses.dataclass(frozen=True, slots=True)
class ReplaySettings:
    """There is nothing to set about a replay."""
