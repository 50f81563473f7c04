"""The image card: what a sandbox is before any init script ran, for a simulator to know.

Without it a simulator must guess what is fixed and yet not in any script: versions, what is
installed, whose home this is. What differs between hosts (kernel, memory) is not told.
"""

from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest import command
from plumb_backends.real.program import run_helper
from plumb_backends.real.sql.server import Server

_COMMANDS = (
    "apt", "awk", "bc", "column", "cron", "crontab", "curl", "dig", "docker", "ed", "emacs",
    "file", "find", "gcc", "git", "gzip", "htop", "ip", "jq", "less", "lsof", "make", "man",
    "mysql", "nano", "nc", "node", "npm", "openssl", "perl", "pip", "ping", "ps", "pstree",
    "python", "python3", "rsync", "ruby", "screen", "sed", "service", "sqlite3", "ss", "ssh",
    "strace", "su", "sudo", "systemctl", "tar", "tmux", "tree", "unzip", "useradd", "vi", "vim",
    "wget", "xxd", "xz", "zip",
)  # fmt: skip
_WITHIN = 30.0
_VARIABLES = ("version", "version_comment", "sql_mode", "character_set_server",
              "collation_server", "time_zone", "lower_case_table_names")  # fmt: skip


async def shell_card(sandbox: Sandbox) -> str:
    """Writes the card of a shell's sandbox."""
    argv = command("card.bash", *_COMMANDS)
    result = await run_helper(sandbox, argv, timeout=_WITHIN)
    return result.stdout.decode(errors="replace").strip()


async def mysql_card(server: Server) -> str:
    """Writes the card of a MySQL server."""
    columns = ", ".join(f"@@global.{name}" for name in _VARIABLES)
    (row,) = await server.ask(f"SELECT {columns}")
    return "\n".join(f"{name}: {value}" for name, value in zip(_VARIABLES, row, strict=True))
