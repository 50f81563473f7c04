"""Budgets: what is spent is paid for, and nothing is asked for when nothing is left."""

from __future__ import annotations

import math

import pytest

from plumb_backends.errors import BudgetSpent
from plumb_backends.simulated.budget import Budget
from plumb_backends.simulated.settings import BudgetLimits, Price


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


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
def test_no_price_and_no_budget_is_negative_or_no_number(amount: float) -> None:
    for make in (
        lambda: Price(amount, 1.0),
        lambda: Price(1.0, amount),
        lambda: BudgetLimits(usd=amount),
        lambda: BudgetLimits(seconds=amount),
    ):
        with pytest.raises(ValueError, match="use a number from 0 on"):
            make()


def test_nothing_is_ever_given_back() -> None:
    budget = Budget(BudgetLimits(tokens=10), "session")
    budget.spend(tokens=10, usd=0.0, seconds=0.0)
    budget.spend(tokens=-100, usd=-1.0, seconds=-1.0)
    assert (budget.tokens, budget.usd, budget.seconds) == (10, 0.0, 0.0)
