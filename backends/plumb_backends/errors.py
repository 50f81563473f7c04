"""What goes wrong. A failed command is not here: it is an observation.

* PlumbError
  x InvalidInput                what was asked for makes no sense; the message says the mend
    - UnknownKind, UnknownBackend, UnknownSuite
  x SessionNotFound             it never was, or it has ended
  x ReportNotFound              there is none of this name
  x StepOutOfOrder              the index is neither the last nor the next
  x StepMismatch                the index was used for another action
  x StepInProgress              something is running already
  x InitFailed                  an init script failed
  x ImageMissing                the engine has no such image
  x Unsupported                 the backend cannot do this
  x LimitReached                a limit of the server; it names which
  x SandboxUnavailable          the sandbox, or the engine below it, is gone
  x ServerStopping              the server is going down
  x Unauthenticated             the caller has no token, or none of this server
  x PermissionDenied            the caller's token may not do this
  x JournalUnavailable          the journal cannot be opened or written
  x NotRecorded                 the recording has no observation of this action at this place
  x ModelError                  a model that plays gave no observation
    - ModelUnauthorized         the endpoint does not know the key
    - ModelUnknown              the endpoint does not have the model
    - ModelRefused              the model refused, or a filter withheld its reply
    - ModelReplyCut             the reply was longer than allowed
    - ModelUnavailable          the endpoint is not there, or fails
    - ModelRateLimited          the endpoint lets no more requests through
    - ModelTimedOut             no reply in time
    - ModelUnusable             every reply broke format or character
    - ModelRequestRejected      the endpoint rejected the request itself
    - ContextFull               grounding and action alone are too long for the model
    - BudgetSpent               a budget of tokens, money or time is spent
    - CassetteMiss              the cassette has no reply, and may not ask for one
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


class ReportNotFound(PlumbError):
    """There is no report of this name."""


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


class Unauthenticated(PlumbError):
    """The caller has no token, or none of this server."""


class PermissionDenied(PlumbError):
    """The caller's token may not do this."""


class JournalUnavailable(PlumbError):
    """The journal cannot be opened or written."""


class NotRecorded(PlumbError):
    """The recording has no observation of this action at this place."""


class ModelError(PlumbError):
    """A model that plays an environment gave no observation."""


class ModelUnauthorized(ModelError):
    """The endpoint does not know the key, or does not allow it this."""


class ModelUnknown(ModelError):
    """The endpoint does not have the model."""


class ModelRefused(ModelError):
    """The model refused to reply, or a filter withheld its reply."""


class ModelReplyCut(ModelError):
    """The reply was longer than the model was allowed to write."""


class ModelUnavailable(ModelError):
    """The endpoint is not there, or failed again and again."""


class ModelRateLimited(ModelError):
    """The endpoint lets no more requests through at the moment.

    Attributes:
        retry_after: Seconds after which trying again makes sense.
    """

    retry_after: float = 5.0


class ModelTimedOut(ModelError):
    """The model did not reply in time."""


class ModelUnusable(ModelError):
    """Every reply broke format or character."""


class ModelRequestRejected(ModelError):
    """The endpoint rejected the request itself, for example a parameter."""


class ContextFull(ModelError):
    """The grounding and the action alone are longer than the model's context."""


class BudgetSpent(ModelError):
    """A budget of tokens, money or time is spent; metadata `limit` names it."""


class CassetteMiss(ModelError):
    """The cassette has no reply to this, and may not ask for one."""
