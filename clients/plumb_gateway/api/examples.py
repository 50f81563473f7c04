"""Examples of requests, for the OpenAPI document and the page about it. Each works as it is.

A path's session is one of kind `shell` that `CreateSession`'s example made.
"""

from collections.abc import Mapping
from typing import Any

BODIES: Mapping[str, Mapping[str, Any]] = {
    "CreateSession": {"kind": "shell", "init": ["echo 42 > /srv/n"]},
    "Step": {"step_index": 1, "action": "cat /srv/n"},
    "StreamStep": {"step": {"step_index": 2, "action": "seq 3"}, "offset": 0},
    "Interrupt": {},
    "ResetSession": {},
    "Exec": {"argv": ["wc", "-l", "/srv/n"]},
    "Compare": {
        "kind": "shell",
        "init": ["echo 42 > /srv/n"],
        "actions": ["cat /srv/n"],
        "simulator": {"model": "baseline:always_empty"},
    },
    "CaptureGrounding": {"kind": "shell", "init": ["echo 42 > /srv/n"]},
    "GenerateGrounding": {
        "kind": "shell",
        "task": "Count the errors in the log of the web server.",
        "model": "gpt-4o",
    },
}
"""By RPC; those that are not here have no body."""

PATHS: Mapping[str, str] = {"suite": "cwd"}
"""By name; sessions and reports have names that only a server knows."""
