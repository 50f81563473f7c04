"""The image card: what a sandbox is before any init script ran, for a simulator to know.

Without it a simulator must guess what is fixed and yet not in any script: versions, what is
installed, whose home this is, what it may use. What differs between hosts (kernel, processor) is
not told. A card is written in a sandbox of its own, in which nothing has run, and once an image.
"""

import re
from collections.abc import Awaitable, Callable, Sequence

from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest import command
from plumb_backends.real.hardening import Limits
from plumb_backends.real.program import run_helper

_COMMANDS = (
    "apt", "awk", "bc", "column", "cron", "crontab", "curl", "dig", "docker", "ed", "emacs",
    "file", "find", "gcc", "git", "gzip", "htop", "ip", "jq", "less", "lsof", "make", "man",
    "mysql", "nano", "nc", "node", "npm", "openssl", "perl", "pip", "ping", "ps", "pstree",
    "python", "python3", "rsync", "ruby", "screen", "sed", "service", "sqlite3", "ss", "ssh",
    "strace", "su", "sudo", "systemctl", "tar", "tmux", "tree", "unzip", "useradd", "vi", "vim",
    "wget", "xxd", "xz", "zip",
)  # fmt: skip
_WITHIN = 30.0
MOST_CARDS = 64
"""How many images' cards are remembered."""

_MIB, _GIB = 1024**2, 1024**3
_VARIABLES = ("version", "version_comment", "sql_mode", "character_set_server", "collation_server",
              "time_zone", "lower_case_table_names", "max_connections", "explain_format",
              "autocommit", "transaction_isolation")  # fmt: skip
_REMOVED = ("PASSWORD('a')", "OLD_PASSWORD('a')", "ENCODE('a', 'b')", "DECODE('a', 'b')",
            "ENCRYPT('a')", "DES_ENCRYPT('a')", "DES_DECRYPT('a')", "MD5('a')", "SHA1('a')",
            "GLENGTH(NULL)", "AREA(NULL)", "X(NULL)")  # fmt: skip
"""Calls of functions that one version or another has not."""

_OF_A_SESSION = re.compile(r"_[0-9a-f]{12}\b")
"""What makes names on a shared server unique; it is another one in each session."""

AskRows = Callable[[str], Awaitable[tuple[int, Sequence[Sequence[object]]]]]
"""Runs a query as a session would; gives MySQL's error number, or 0, and the rows."""


async def shell_card(sandbox: Sandbox, limits: Limits) -> str:
    """Writes the card of a shell's sandbox."""
    argv = command("card.bash", *_COMMANDS)
    result = await run_helper(sandbox, argv, timeout=_WITHIN)
    may_use = (
        f"limits: {_size(limits.memory_bytes)} of memory, {_size(limits.disk_bytes)} of disk, "
        f"{limits.processes} processes and threads, {limits.open_files} open files of each"
    )
    return f"{result.stdout.decode(errors='replace').strip()}\n{may_use}"


async def mysql_card(ask: AskRows) -> str:
    """Writes the card of a MySQL server, as a session sees it."""
    lines = []
    for name in _VARIABLES:
        _, rows = await ask(f"SELECT @@{name}")
        lines += [f"{name}: {row[0]}" for row in rows]
    _, rows = await ask("SELECT USER(), CURRENT_USER()")
    lines += [f"user: {row[0]}, with the rights of {row[1]}" for row in rows]
    _, rows = await ask("SHOW DATABASES")
    lines.append(f"databases: {', '.join(str(row[0]) for row in rows)}")
    errors = {call.partition("(")[0]: (await ask(f"SELECT {call}"))[0] for call in _REMOVED}
    lacking = [f"{name} (error {errno})" for name, errno in errors.items() if errno]
    lines.append(f"functions that this version has not: {', '.join(lacking) or 'none'}")
    return _OF_A_SESSION.sub("_(12 random digits)", "\n".join(lines))


def _size(size: int) -> str:
    return f"{size / _GIB:g} GiB" if size >= _GIB else f"{size / _MIB:g} MiB"
