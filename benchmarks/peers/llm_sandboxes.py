"""llm-sandbox: a container that lives, and a `docker exec` through the SDK for each command."""

import asyncio
import shlex
import sys
from typing import Any

from llm_sandbox import SandboxSession

from peers.driver import argv_of, serve


class LlmSandbox:
    """One session, without the set-up of a language's packages."""

    def __init__(self, image: str, label: str) -> None:
        name, _, value = label.partition("=")
        self._options: dict[str, Any] = {
            "lang": "python",
            "image": image,
            "workdir": "/root",
            "skip_environment_setup": True,
            "runtime_configs": {
                "network_mode": "none",
                "cap_drop": ["ALL"],
                "mem_limit": "1g",
                "pids_limit": 256,
                "labels": {name: value},
            },
        }
        self._session: Any = None

    async def create(self) -> None:
        """Opens it."""
        self._session = SandboxSession(**self._options)
        await asyncio.to_thread(self._session.open)

    async def run(self, command: str) -> str:
        """Runs it."""
        argv = shlex.join(argv_of(command))
        seen = await asyncio.to_thread(self._session.execute_command, argv)
        return str(seen.stdout)

    async def remove(self) -> None:
        """Closes it."""
        await asyncio.to_thread(self._session.close)


if __name__ == "__main__":
    serve(LlmSandbox(*sys.argv[1:]))
