"""What browsers are told to allow: next to nothing, and nothing from elsewhere."""

from collections.abc import Mapping

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def _written(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def live_policy(nonce: str) -> str:
    """The policy of the page with a terminal, which styles its cells as it goes.

    Args:
        nonce: What its style elements carry; no other may be added.
    """
    styles = {"style-src": f"'self' 'nonce-{nonce}'", "style-src-attr": "'unsafe-inline'"}
    return _written(_POLICY | styles)


REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)
"""A bench's own page holds its script and styles: it gets an origin of its own, with no powers."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _written(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every response, unless it has its own."""
