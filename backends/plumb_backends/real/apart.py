"""Runs one program in a sandbox of its own that holds nothing of any session.

For what a simulator wants to work out: the image's programs are there, and no file, name or network
of anybody's world. The sandbox is small, belongs to nobody, and is removed when the program ends.
"""

import asyncio

from plumb_backends.environment import Program, ProgramResult
from plumb_backends.real.hardening import Limits, SandboxSpec
from plumb_backends.real.program import run_program
from plumb_backends.real.sandboxes import Sandboxes

_MIB = 1024**2
_SESSION = "apart"
"""What the session's label says."""

_LIMITS = Limits(
    memory_bytes=128 * _MIB,
    processes=32,
    cpus=1.0,
    disk_bytes=16 * _MIB,
    files=1000,
    open_files=256,
    lifetime=60.0,
)


async def run_apart(
    sandboxes: Sandboxes, image: str, runtime: str, program: Program
) -> ProgramResult:
    """Runs a program, as nobody.

    Raises:
        ImageMissing, LimitReached, SandboxUnavailable: There is no sandbox, or it was lost.
    """
    spec = SandboxSpec(
        image=image,
        session_id=_SESSION,
        hostname="apart",
        env={"LANG": "C.UTF-8", "TZ": "Etc/UTC"},
        home="/tmp",  # noqa: S108 - the only folder that can be written, and in memory
        user="nobody",
        capabilities=("KILL", "SETGID", "SETUID"),  # what starts the program, and ends it
        memory_disks={"/tmp": 16 * _MIB},  # noqa: S108 - see above
        has_fixed_root=True,
        limits=_LIMITS,
        runtime=runtime,
    )
    taken = await sandboxes.get(spec, has_terminal=False, has_scripts=False)
    try:
        return await run_program(taken.sandbox, program)
    finally:
        await asyncio.shield(sandboxes.remove(taken.sandbox))
