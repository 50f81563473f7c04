"""OpenEnv: an environment's server in a container, and a WebSocket to it."""

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

    async def create(self) -> None:
        """Starts the container, connects, and resets, without which there is no episode."""
        provider = LocalDockerProvider()
        try:
            self._client = await GenericEnvClient.from_docker_image(self._image, provider)
            await self._client.reset()
        except BaseException:
            provider.stop_container()
            raise

    async def run(self, command: str) -> str:
        """One step."""
        seen = await self._client.step({"command": command})
        return str(seen.observation["text"])

    async def remove(self) -> None:
        """Closes the client, which stops the container."""
        await self._client.close()


if __name__ == "__main__":
    serve(OpenEnv(*sys.argv[1:]))
