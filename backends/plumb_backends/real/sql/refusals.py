r"""What a session may not say on a server that others are on, because nothing there isolates it.

A server of a session's own refuses nothing.
"""

import re

from plumb_backends.sql.result import RawError

_GAP = rb"(?:\s|/\*.*?\*/|/\*!\d*|\*/|--\s[^\n]*\n|#[^\n]*\n)+"
_XA = re.compile(
    rb"(?<![\w$.`])XA" + _GAP + rb"(?:START|BEGIN|END|PREPARE|COMMIT|ROLLBACK|RECOVER)(?![\w$])",
    re.IGNORECASE | re.DOTALL,
)
_NOT_SUPPORTED = 1235


def refusal(statement: bytes) -> RawError | None:
    """The error for a statement that is refused, None for any other."""
    if not _XA.search(statement):
        return None
    return RawError(
        errno=_NOT_SUPPORTED,
        sqlstate="42000",
        message="XA transactions would outlive this session on the server that it shares; "
        "use isolation 'dedicated'",
    )
