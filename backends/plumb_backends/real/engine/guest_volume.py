"""The volume with plumb's own program, which every sandbox mounts for reading.

The engine fills it from the image `plumb-guest` when a container with the empty volume is made: so
nothing of the server's own files is needed, and the engine may be on another machine.
"""

import asyncio
import contextlib
import json
from typing import Any

import aiodocker

from plumb_backends.errors import PlumbError, SandboxUnavailable
from plumb_backends.real import owner
from plumb_backends.real.engine.asking import asking
from plumb_backends.real.hardening import EXPIRY_LABEL, LABEL, OWNER_LABEL

GUEST_IMAGE = "plumb-guest:latest"

_PREFIX = "plumb-guest-"
_FOLDER = "/plumb"
"""Where the program is in its image."""

_FILLED_WITHIN = 60.0
_LOOK_AGAIN_AFTER = 0.1


class GuestVolume:
    """The volume of the image that there was when it was first needed."""

    def __init__(self, docker: aiodocker.Docker, owner_name: str) -> None:
        self._docker = docker
        self._owner = owner_name
        self._name = ""
        self._filling = asyncio.Lock()

    async def ready(self) -> str:
        """The volume's name; filled first where it is not there.

        Raises:
            ImageMissing: The engine does not have the image.
            SandboxUnavailable: The engine does not answer.
        """
        async with self._filling:
            if not self._name or not await self._is_there():
                name = await self._current()
                await self._fill(name)
                self._name = name
        return self._name

    async def _current(self) -> str:
        async with asking("looking for plumb's own image"):
            image = await self._docker.images.inspect(GUEST_IMAGE)
        # With all digits: so `df` shows what it shows without the volume, by its rules.
        return _PREFIX + str(image["Id"]).removeprefix("sha256:")

    async def _is_there(self) -> bool:
        return self._name in await self._volumes()

    async def _volumes(self, **filters: list[str]) -> list[str]:
        spelled = json.dumps({"name": [_PREFIX], **filters})
        async with asking("listing volumes"):
            found = await self._docker._query_json("volumes", params={"filters": spelled})
        return [str(volume["Name"]) for volume in found["Volumes"] or ()]

    async def _fill(self, name: str) -> None:
        """Makes a container with the volume, and removes it.

        Its name can be had once at a time: whoever gets it knows that nobody else is filling.
        """
        container_name = f"{name[: len(_PREFIX) + 12]}-filling"
        config: dict[str, Any] = {
            "Image": GUEST_IMAGE,
            "Labels": {LABEL: "1", OWNER_LABEL: self._owner,
                       EXPIRY_LABEL: owner.expiry(_FILLED_WITHIN)},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [{"Type": "volume", "Source": name, "Target": _FOLDER,
                            "VolumeOptions": {"Labels": {LABEL: "1"}}}],
            },
        }  # fmt: skip
        async with asyncio.timeout(_FILLED_WITHIN):
            while True:
                async with asking("filling the volume of plumb's own program"):
                    try:
                        made = await self._docker.containers.create(config, name=container_name)
                    except aiodocker.DockerError as error:
                        if error.status != 409:
                            raise
                    else:
                        await asyncio.shield(made.delete(force=True))
                        return
                await self._remove_left(container_name)
                await asyncio.sleep(_LOOK_AGAIN_AFTER)  # somebody else's has no event for us

    async def _remove_left(self, container_name: str) -> None:
        """Removes a container whose owner ended between making and removing it."""
        with contextlib.suppress(PlumbError):
            async with asking("looking who fills the volume"):
                container = self._docker.containers.container(container_name)
                labels = (await container.show())["Config"]["Labels"] or {}
                if owner.is_over(labels.get(OWNER_LABEL, ""), labels.get(EXPIRY_LABEL, "inf")):
                    await container.delete(force=True)

    async def sweep(self, *, everything: bool = False) -> None:
        """Removes the volumes of other images that no container has any more.

        Args:
            everything: That of the present image, too; the next sandbox makes it again.
        """
        keep = {self._name}
        with contextlib.suppress(PlumbError):  # there is no such image
            keep.add(await self._current())
        for name in await self._volumes(dangling=["true"]):
            if everything or name not in keep:
                with contextlib.suppress(SandboxUnavailable):  # used again, or gone
                    async with asking("removing a volume"):
                        await self._docker._query_json(f"volumes/{name}", method="DELETE")
