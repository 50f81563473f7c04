"""What one side observed, as the differ takes it."""

import dataclasses

STOPPED = frozenset({"TIMED_OUT", "INTERRUPTED", "OUTPUT_LIMIT", "AWAITS_INPUT"})
"""Endings of an action that did not end by itself: it was stopped from outside."""

COMMON = frozenset({"EXITED", "TIMED_OUT"})
"""Endings that every side can give."""

OF_MODELS = COMMON | {
    "SIGNALED", "OUT_OF_MEMORY", "OUTPUT_LIMIT", "SHELL_EXITED", "AWAITS_INPUT"
}  # fmt: skip
"""Endings that plumb asks a model for: all but an interrupt, which is the caller's."""

_STOPPED_STATUS = 130  # what a shell has where Ctrl-C stopped an action


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One observation.

    Attributes:
        text: What the agent reads.
        exit_code: The shell's exit status, 0 to 255; None where it is not known.
        errno: MySQL's error number, 0 for none; None where it is not known.
        ending: How it ended, for example `EXITED` or `TIMED_OUT`; empty where it is not known.
        cwd: The shell's working directory afterwards; empty where it is not known.
        endings: The endings that this side can give. Empty where that is not known: then those of
            `COMMON`, or any where its own ending is another.
    """

    text: str
    exit_code: int | None = None
    errno: int | None = None
    ending: str = ""
    cwd: str = ""
    endings: frozenset[str] = frozenset()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped from outside."""
        return self.ending in STOPPED

    @property
    def status(self) -> str:
        """How it ended, for people; empty where it is not known."""
        ended = self.ending.lower().replace("_", " ")
        if self.is_stopped:
            return ended
        if self.exit_code is not None:
            code = f"exit status {self.exit_code}"
            return code if self.ending in ("", "EXITED") else f"{ended}, {code}"
        if self.errno is not None:
            return f"errno {self.errno}" if self.errno else "no error"
        return "" if self.ending in ("", "EXITED", "SHELL_EXITED") else ended

    @property
    def failed(self) -> bool | None:
        """Whether that is a failure; None where it is not known."""
        if self.is_stopped:
            return True
        if self.exit_code is not None:
            return self.exit_code != 0
        if self.errno is not None:
            return self.errno != 0
        return True if self.status else None

    def can_end(self, ending: str) -> bool:
        """Whether this side could have said that an action ended so."""
        if self.endings:
            return ending in self.endings
        return ending in COMMON or self.ending not in COMMON | {""}

    def ends_like(self, real: "Seen") -> bool:
        """Whether it ended as the real one, as far as this side could have said it."""
        if not self.status or not real.status:
            return True
        if self.is_stopped and real.is_stopped:  # exit statuses are those of the stop then
            return self.ending == real.ending or not self.can_end(real.ending)
        is_held = bool(self.ending and real.ending) and self.can_end(real.ending)
        if is_held and self.ending != real.ending:
            return False
        if self.exit_code is not None:
            expected = _STOPPED_STATUS if real.is_stopped else self.exit_code
            return self.exit_code == (expected if real.exit_code is None else real.exit_code)
        if self.errno is not None and real.errno is not None:
            return self.errno == real.errno
        return self.failed == real.failed
