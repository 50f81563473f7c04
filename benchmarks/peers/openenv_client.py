"""OpenEnv: an environment's server in a container, and a WebSocket to it."""

import subprocess
import sys
from typing import Any

from openenv.core import GenericEnvClient
from openenv.core.containers.runtime import LocalDockerProvider

from peers.driver import serve


class OpenEnv:
    """One container with one environment; image/openenv_server.py is what answers in it."""

    def __init__(self, image: str, label: str) -> None:  # its provider takes no label
        self._image = image
        self._client: Any = None
        self._provider: Any = None

    async def create(self) -> None:
        """Starts the container, connects, and resets, without which there is no episode."""
        self._provider = LocalDockerProvider()
        try:
            self._client = await GenericEnvClient.from_docker_image(self._image, self._provider)
            await self._client.reset()
        except Exception:
            _remove(self._provider._container_name)
            raise

    async def run(self, command: str) -> str:
        """One step."""
        seen = await self._client.step({"command": command})
        return str(seen.observation["text"])

    async def remove(self) -> None:
        """Closes the client, which stops the container."""
        name = self._provider._container_name
        try:
            await self._client.close()
        except Exception:
            _remove(name)
            raise


def _remove(name: str | None) -> None:
    """Removes a container that the provider gives up: it forgets those that do not stop in time."""
    if name:
        subprocess.run(["docker", "rm", "--force", name], stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    serve(OpenEnv(*sys.argv[1:]))
