"""The part of the server's settings that is about simulators."""

import re
from pathlib import Path

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from plumb_backends.simulated.settings import (
    BudgetLimits,
    CassetteMode,
    Price,
    ReplyFormat,
    SimulatorSettings,
)


class SimulatorFields(BaseSettings):
    """What `Settings` has for simulators."""

    model_config = SettingsConfigDict(env_prefix="PLUMB_", frozen=True, populate_by_name=True)

    simulator_api_key: str = Field(
        "",
        validation_alias=AliasChoices("PLUMB_SIMULATOR_API_KEY", "OPENAI_API_KEY"),
        description="The key of the model endpoint; empty where it wants none. `OPENAI_API_KEY` "
        "sets it, too.",
        repr=False,
    )
    simulator_base_url: str = Field(
        "",
        validation_alias=AliasChoices("PLUMB_SIMULATOR_BASE_URL", "OPENAI_BASE_URL"),
        description="The model endpoint, for example `http://127.0.0.1:8000/v1`; empty for "
        "OpenAI's. `OPENAI_BASE_URL` sets it, too.",
    )
    simulator_concurrency: int = Field(
        8, ge=1, description="Requests to the model endpoint at the same time."
    )
    simulator_retries: int = Field(
        4,
        ge=0,
        description="How often a request is tried again after a 408, 409, 429, 5xx or a lost "
        "connection.",
    )
    simulator_step_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="What one simulated step may take: retries, further attempts and critics "
        "included.",
    )
    simulator_max_reply_tokens: int = Field(
        4096, ge=16, description="What one reply may be long, the model's reasoning included."
    )
    simulator_context_tokens: int = Field(
        128_000,
        ge=1024,
        description="What a model can be told at once, its reply included; the oldest turns are "
        "dropped beyond that.",
    )
    simulator_reply_format: ReplyFormat = Field(
        ReplyFormat.AUTO,
        description="`json`: replies by a JSON schema; `text`: as plain text, without exit status "
        "and working directory; `auto`: as text where the endpoint does not know schemas.",
    )
    simulator_cassette: str = Field(
        "", description="A file with recorded replies of models; empty for none."
    )
    simulator_cassette_mode: CassetteMode = Field(
        CassetteMode.AUTO,
        description="With a cassette: `off`; `record` asks and writes; `replay` gives only what is "
        "recorded; `auto` gives what is recorded, and asks and writes otherwise.",
    )
    simulator_session_tokens: int = Field(
        0, ge=0, description="Tokens that each session may spend on models; 0 without limit."
    )
    simulator_session_usd: float = Field(
        0.0, ge=0, description="US dollars that each session may spend on models; 0 without limit."
    )
    simulator_session_seconds: float = Field(
        0.0, ge=0, description="Seconds that each session may wait for models; 0 without limit."
    )
    simulator_server_tokens: int = Field(
        0, ge=0, description="Tokens that the server may spend on models until it is restarted."
    )
    simulator_server_usd: float = Field(
        0.0, ge=0, description="US dollars that the server may spend until it is restarted."
    )
    simulator_server_seconds: float = Field(
        0.0, ge=0, description="Seconds that the server may wait for models, all sessions together."
    )
    simulator_prices: dict[str, tuple[float, float]] = Field(
        {},
        description="What models cost, in US dollars for a million tokens sent and received, as "
        'JSON: `{"gpt-4o": [2.5, 10]}`.',
    )
    simulator_strategies: str = Field(
        "", description="A folder with strategies of your own; see docs/simulators.md."
    )
    simulator_ground_for_real: bool = Field(
        True,
        description="Whether the init scripts of simulated sessions are run in a real sandbox "
        "first.",
    )

    @field_validator("simulator_base_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/]", value):
            raise ValueError("this is no URL of an endpoint, for example http://127.0.0.1:8000/v1")
        return value

    def simulator(self) -> SimulatorSettings:
        """The settings of the simulators."""
        return SimulatorSettings(
            api_key=self.simulator_api_key,
            base_url=self.simulator_base_url,
            concurrency=self.simulator_concurrency,
            max_retries=self.simulator_retries,
            step_seconds=self.simulator_step_seconds,
            max_reply_tokens=self.simulator_max_reply_tokens,
            context_tokens=self.simulator_context_tokens,
            reply_format=self.simulator_reply_format,
            cassette=Path(self.simulator_cassette) if self.simulator_cassette else None,
            cassette_mode=self.simulator_cassette_mode,
            session_budget=BudgetLimits(
                tokens=self.simulator_session_tokens,
                usd=self.simulator_session_usd,
                seconds=self.simulator_session_seconds,
            ),
            server_budget=BudgetLimits(
                tokens=self.simulator_server_tokens,
                usd=self.simulator_server_usd,
                seconds=self.simulator_server_seconds,
            ),
            prices={model: Price(*price) for model, price in self.simulator_prices.items()},
            strategies=Path(self.simulator_strategies) if self.simulator_strategies else None,
            ground_for_real=self.simulator_ground_for_real,
        )
