"""What goes wrong. A failed command is not here: it is an observation.

* PlumbError
  x InvalidInput                what was asked for makes no sense; the message says the mend
    - UnknownKind, UnknownBackend, UnknownSuite
  x SessionNotFound             it never was, or it has ended
  x StepOutOfOrder              the index is neither the last nor the next
  x StepMismatch                the index was used for another action
  x StepInProgress              something is running already
  x InitFailed                  an init script failed
  x ImageMissing                the engine has no such image
  x Unsupported                 the backend cannot do this
  x LimitReached                a limit of the server; it names which
  x SandboxUnavailable          the sandbox, or the engine below it, is gone
  x ServerStopping              the server is going down
"""

from collections.abc import Mapping


class PlumbError(Exception):
    """The base of all that plumb raises on purpose.

    The message is one sentence that names the offending value and says the mend.

    Attributes:
        metadata: Facts for programs, as text; sent along to clients.
    """

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.metadata = dict(metadata or {})


class InvalidInput(PlumbError):
    """What was asked for makes no sense."""


class UnknownKind(InvalidInput):
    """There is no such kind of environment."""


class UnknownBackend(InvalidInput):
    """The kind has no such backend."""


class UnknownSuite(InvalidInput):
    """The kind has no such probe suite."""


class SessionNotFound(PlumbError):
    """No live session has this name."""


class StepOutOfOrder(PlumbError):
    """A step's index is neither the last nor the next one."""


class StepMismatch(PlumbError):
    """A step's index was used for another action."""


class StepInProgress(PlumbError):
    """Something is running in this session already."""


class InitFailed(PlumbError):
    """An init script failed."""


class ImageMissing(PlumbError):
    """The engine does not have the image."""


class Unsupported(PlumbError):
    """The backend cannot do this."""


class LimitReached(PlumbError):
    """A limit of the server is reached.

    Attributes:
        retry_after: Seconds after which trying again makes sense.
    """

    def __init__(self, message: str, *, limit: str, retry_after: float = 5.0) -> None:
        super().__init__(message, {"limit": limit})
        self.retry_after = retry_after


class SandboxUnavailable(PlumbError):
    """The sandbox, or the engine below it, is gone."""


class ServerStopping(PlumbError):
    """The server is going down."""
