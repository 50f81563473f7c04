"""What a model was paid: for answers, and for questions that had none."""

import dataclasses

from plumb_client.errors import PlumbError
from plumb_client.values import Provenance


@dataclasses.dataclass(slots=True)
class Paid:
    """A sum of what was paid.

    Attributes:
        prompt_tokens: Sent to the model.
        completion_tokens: Received from it.
        cost_usd: 0 where no price is known.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    def answer(self, provenance: Provenance | None) -> None:
        """Adds what an answer cost; None where no model was asked."""
        if provenance is not None:
            self._add(provenance.prompt_tokens, provenance.completion_tokens, provenance.cost_usd)

    def failure(self, error: PlumbError) -> None:
        """Adds what was paid for no answer, as far as the error says it."""
        said = error.metadata
        self._add(
            int(said.get("prompt_tokens", 0)),
            int(said.get("completion_tokens", 0)),
            float(said.get("cost_usd", 0.0)),
        )

    def _add(self, prompt_tokens: int, completion_tokens: int, cost_usd: float) -> None:
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.cost_usd += cost_usd
