"""Budgets: what sessions and the server may spend on models, and what they have."""

from plumb_backends.errors import BudgetSpent
from plumb_backends.simulated.settings import BudgetLimits


class Budget:
    """One purse. Calls that are under way when it runs out are paid for all the same.

    Args:
        limits: What may be spent.
        owner: Who spends, for messages: `session` or `server`.
        within: A larger purse that pays, too.
    """

    def __init__(self, limits: BudgetLimits, owner: str, within: "Budget | None" = None) -> None:
        self._limits = limits
        self._owner = owner
        self._within = within
        self.tokens = 0
        self.usd = 0.0
        self.seconds = 0.0

    def check(self) -> None:
        """Checks that something is left, here and in the larger purse.

        Raises:
            BudgetSpent: Nothing is left of one; the message names the setting.
        """
        for what, spent, limit in (
            ("tokens", self.tokens, self._limits.tokens),
            ("usd", self.usd, self._limits.usd),
            ("seconds", self.seconds, self._limits.seconds),
        ):
            if limit and spent >= limit:
                name = f"PLUMB_SIMULATOR_{self._owner.upper()}_{what.upper()}"
                raise BudgetSpent(
                    f"the {self._owner} has spent {spent:.6g} of its {limit:g} {what} on models "
                    f"({name}); raise that, or "
                    + ("make a new session" if self._owner == "session" else "restart the server"),
                    {"limit": name},
                )
        if self._within is not None:
            self._within.check()

    def spend(self, *, tokens: int, usd: float, seconds: float) -> None:
        """Notes what a call took; nothing is ever given back."""
        self.tokens += max(0, tokens)
        self.usd += max(0.0, usd)
        self.seconds += max(0.0, seconds)
        if self._within is not None:
            self._within.spend(tokens=tokens, usd=usd, seconds=seconds)
