"""Captures what init scripts left in a sandbox: what differs from its image, as text."""

from plumb_backends.environment import Program
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest import script
from plumb_backends.real.program import run_program

MOST_PATHS = 500
MOST_CONTENT_BYTES = 2048
"""A larger file is told by its digest."""

MOST_BYTES = 48 * 1024
_WITHIN = 30.0


async def capture_files(sandbox: Sandbox) -> str:
    """Writes down files, directories and links that the image does not have so.

    Sorted by path, at most `MOST_PATHS` of them and `MOST_BYTES` together; a last line says what
    was left out.
    """
    changes = sorted((await sandbox.changed_paths()).items())
    told = changes[:MOST_PATHS]
    entries = b"".join(f"{how} {path}\0".encode() for path, how in told)
    argv = ["bash", "-c", script("capture.bash"), "plumb", str(MOST_CONTENT_BYTES)]
    result = await run_program(sandbox, Program(argv, stdin=entries, timeout=_WITHIN))
    text = result.stdout[:MOST_BYTES].decode(errors="replace").rstrip("\n")
    left_out = []
    if len(changes) > len(told):
        left_out.append(f"(and {len(changes) - len(told)} more paths)")
    if len(result.stdout) > MOST_BYTES or result.truncated or result.timed_out:
        left_out.append("(the rest is cut)")
    return "\n".join([text, *left_out]).strip()
