"""What one side observed, as the differ takes it."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One observation.

    Attributes:
        text: What the agent reads.
        exit_code: The shell's exit status, 0 to 255; None where it is not known.
        errno: MySQL's error number, 0 for none; None where it is not known.
        ending: How it ended, for example `EXITED` or `TIMED_OUT`; empty where it is not known.
    """

    text: str
    exit_code: int | None = None
    errno: int | None = None
    ending: str = ""

    @property
    def status(self) -> str:
        """How it ended, comparable and for people; empty where it is not known."""
        if self.ending not in ("", "EXITED"):
            return self.ending.lower().replace("_", " ")
        if self.exit_code is not None:
            return f"exit status {self.exit_code}"
        if self.errno is not None:
            return f"errno {self.errno}" if self.errno else "no error"
        return ""

    @property
    def failed(self) -> bool | None:
        """Whether that is a failure; None where it is not known."""
        return None if not self.status else self.status not in ("exit status 0", "no error")
