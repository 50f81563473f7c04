"""Budgets: what is spent is paid for, and nothing is asked for when nothing is left."""

from __future__ import annotations

import pytest

from plumb_backends.errors import BudgetSpent
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.settings import BudgetLimits


@pytest.mark.parametrize(
    ("limits", "spent", "what"),
    [
        (BudgetLimits(tokens=10), {"tokens": 10, "usd": 0.0, "seconds": 0.0}, "TOKENS"),
        (BudgetLimits(usd=0.5), {"tokens": 1, "usd": 0.5, "seconds": 0.0}, "USD"),
        (BudgetLimits(seconds=2), {"tokens": 1, "usd": 0.0, "seconds": 2.5}, "SECONDS"),
    ],
)
def test_a_spent_budget_names_its_setting(
    limits: BudgetLimits, spent: dict[str, float], what: str
) -> None:
    budget = Budget(limits, "session")
    budget.check()
    budget.spend(**spent)  # type: ignore[arg-type]
    with pytest.raises(BudgetSpent, match=f"PLUMB_SIMULATOR_SESSION_{what}") as caught:
        budget.check()
    assert caught.value.metadata["limit"] == f"PLUMB_SIMULATOR_SESSION_{what}"


def test_without_limits_all_can_be_spent() -> None:
    budget = Budget(BudgetLimits(), "session")
    budget.spend(tokens=10**9, usd=1e6, seconds=1e6)
    budget.check()


def test_the_larger_purse_pays_too_and_is_everybody_s() -> None:
    server = Budget(BudgetLimits(tokens=10), "server")
    one = Budget(BudgetLimits(tokens=100), "session", server)
    other = Budget(BudgetLimits(tokens=100), "session", server)
    one.spend(tokens=10, usd=0.0, seconds=0.0)
    assert (one.tokens, other.tokens, server.tokens) == (10, 0, 10)
    with pytest.raises(BudgetSpent, match="the server has spent 10 of its 10 tokens"):
        other.check()
