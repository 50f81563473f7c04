"""The one door to a judgement: how a session's kind and options bear on a comparison.

Servers, benches and whoever uses the library make their `Truth` here, so that the same pair has
the same verdict everywhere.
"""

import dataclasses
import datetime
import re
from collections.abc import Callable, Mapping, Sequence

from plumb_fidelity.seen import Seen
from plumb_fidelity.truth import Truth

_MOST_PAST = 20
_REMEMBERED = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What is known of a session's output beforehand.

    Attributes:
        prompt: A regular expression for the session's own prompt; empty where it has none.
        is_table: Whether it is what the `mysql` client prints.
    """

    prompt: str = ""
    is_table: bool = False

    def truth(
        self,
        real: Sequence[Seen],
        *,
        action: str,
        at: datetime.datetime | None = None,
        told: str = "",
    ) -> Truth:
        """What is known of the right answer; the arguments are those of `compare`."""
        return Truth(
            real, action=action, prompt=self.prompt, is_table=self.is_table, at=at, told=told
        )


def shell(*, user: str = "root", hostname: str = "sandbox") -> Rules:
    """The rules of a shell's session."""
    return Rules(rf"{re.escape(user)}@{re.escape(hostname)}:[^\s#$]{{0,512}}+[#$] ?")


def mysql(*, rendering: str = "client") -> Rules:
    """The rules of a MySQL session."""
    return Rules("mysql> ?", rendering == "client")


_RULES: Mapping[str, Callable[..., Rules]] = {"shell": shell, "mysql": mysql}


def rules_of(kind: str, **options: str) -> Rules:
    """The rules of a kind's session; those of plain text for a kind that has none of its own.

    Args:
        kind: The kind's name.
        options: As of `shell` and `mysql`.
    """
    return _RULES[kind](**options) if kind in _RULES else Rules()


def remembered(past: Sequence[tuple[str, str]], action: str, text: str) -> list[tuple[str, str]]:
    """The turns that a later one may contradict, with this one; long texts only begin.

    Nothing is known before an action that is too long to be kept.
    """
    if len(action) > _REMEMBERED:
        return []
    return [*past[-_MOST_PAST:], (action, text[:_REMEMBERED])]
