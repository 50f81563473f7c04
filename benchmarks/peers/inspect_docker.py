"""Inspect's Docker sandbox: a compose project, and a `docker compose exec` for each command."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from inspect_ai.util._sandbox.docker.docker import DockerSandboxEnvironment

from peers.driver import argv_of, serve

_TASK = "plumb-benchmark"


class Inspect:
    """One sample's sandbox, made as an evaluation makes it."""

    def __init__(self, image: str, label: str) -> None:
        service = {
            "image": image,
            "command": ["sleep", "3600"],
            "x-local": True,
            "network_mode": "none",
            "cap_drop": ["ALL"],
            "mem_limit": "1g",
            "pids_limit": 256,
            "labels": [label],
        }
        self._config = str(Path(tempfile.mkdtemp(), "compose.yaml"))
        Path(self._config).write_text(json.dumps({"services": {"default": service}}))
        self._is_task_ready = False
        self._environments: dict[str, Any] = {}

    async def create(self) -> None:
        """Begins a sample; the first time, checks what the task needs."""
        if not self._is_task_ready:
            await DockerSandboxEnvironment.task_init(_TASK, self._config)
            self._is_task_ready = True
        self._environments = await DockerSandboxEnvironment.sample_init(_TASK, self._config, {})

    async def run(self, command: str) -> str:
        """Executes it."""
        seen = await self._environments["default"].exec(argv_of(command))
        return str(seen.stdout)

    async def remove(self) -> None:
        """Ends the sample."""
        await DockerSandboxEnvironment.sample_cleanup(
            _TASK, self._config, self._environments, interrupted=False
        )


if __name__ == "__main__":
    serve(Inspect(*sys.argv[1:]))
