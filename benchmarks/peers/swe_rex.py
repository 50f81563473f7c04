"""SWE-ReX: a bash that lives, read by pexpect; on the host, or behind HTTP in a container."""

import sys
from typing import Any

from swerex.deployment.docker import DockerDeployment
from swerex.deployment.local import LocalDeployment
from swerex.runtime.abstract import BashAction, CreateBashSessionRequest

from peers.driver import serve


class SweRex:
    """One deployment with one session."""

    def __init__(self, image: str, label: str) -> None:
        self._image = image
        self._label = label
        self._deployment: Any = None

    async def create(self) -> None:
        """Starts the deployment and its bash."""
        options = ["--cap-drop=ALL", "--memory=1g", "--pids-limit=256", f"--label={self._label}"]
        self._deployment = (
            DockerDeployment(image=self._image, pull="never", docker_args=options)
            if self._image
            else LocalDeployment()
        )
        await self._deployment.start()
        await self._deployment.runtime.create_session(CreateBashSessionRequest())

    async def run(self, command: str) -> str:
        """Runs it in that bash."""
        seen = await self._deployment.runtime.run_in_session(
            BashAction(command=command, timeout=600)
        )
        return str(seen.output)

    async def remove(self) -> None:
        """Stops the deployment."""
        await self._deployment.stop()


if __name__ == "__main__":
    serve(SweRex(*sys.argv[1:]))
