"""All that building images asks of Docker."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import docker  # type: ignore[import-untyped, unused-ignore]
import docker.errors  # type: ignore[import-untyped, unused-ignore]

FIRST_ANSWER_S: Final = 20.0
"""How long a registry may take to its first answer."""
STALL_S: Final = 60.0
"""How long a pull that has begun may stand still."""
TAIL_LINES: Final = 5
"""How much of a failed program's output an error quotes."""


class BuildError(Exception):
    """The image cannot be made; the message is one sentence that names the mend."""


class Engine:
    """The Docker engine, as far as building goes."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def connect(cls) -> Engine:
        """Finds the engine as the docker command does, DOCKER_HOST included.

        Raises:
            BuildError: No engine answers.
        """
        try:
            return cls(docker.from_env())
        except docker.errors.DockerException as error:
            raise BuildError(
                "no Docker engine answers: run `containers/engine.sh`, which starts one or says why"
            ) from error

    def has(self, reference: str) -> bool:
        """Tells whether the image is local."""
        with docker_errors(f"looking for {reference}"):
            try:
                self._client.images.get(reference)
            except docker.errors.ImageNotFound:
                return False
        return True

    def architecture(self) -> str:
        """The processor that the engine's containers run on, in its own words."""
        with docker_errors("asking what it runs on"):
            return str(self._client.version()["Arch"])

    def alias(self, reference: str, alias: str) -> None:
        """Gives a local image a further name."""
        repository, _, tag = alias.rpartition(":")
        with docker_errors(f"naming {alias}"):
            self._client.api.tag(reference, repository, tag)

    def pull(
        self, reference: str, first_answer: float = FIRST_ANSWER_S, stall: float = STALL_S
    ) -> str | None:
        """Pulls an image; returns why that failed, or None. A registry that hangs has failed."""
        # The SDK pulls without any time limit, hence a thread: one that hangs is left behind and
        # dies with the process.
        lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._feed_pull, args=(reference, lines), daemon=True).start()
        patience = first_answer
        while True:
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                return f"the registry was silent for {patience:g} s"
            if "error" in line:
                return str(line["error"])
            if "done" in line:
                return None
            patience = stall

    def _feed_pull(self, reference: str, lines: queue.SimpleQueue[dict[str, Any]]) -> None:
        repository, _, tag = reference.rpartition(":")
        try:
            for line in self._client.api.pull(repository, tag=tag, stream=True, decode=True):
                lines.put(line)
            lines.put({"done": True})
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiting side must hear of it
            lines.put({"error": getattr(error, "explanation", None) or str(error)})

    def import_root(self, archive: Path, reference: str) -> None:
        """Makes an image of a root file system's tar archive."""
        repository, _, tag = reference.rpartition(":")
        changes = ["LABEL dev.plumb.image=base-debian", 'CMD ["bash"]']
        with docker_errors(f"importing {reference}"):
            self._client.api.import_image_from_file(str(archive), repository, tag, changes)
        if not self.has(reference):
            raise BuildError(f"the engine did not keep {reference}: see its log and its free space")

    def build(
        self, folder: Path, reference: str, arguments: dict[str, str], network: str | None
    ) -> None:
        """Builds a folder's Dockerfile."""
        said: list[str] = []
        with docker_errors(f"building {reference}"):
            for line in self._client.api.build(
                path=str(folder),
                tag=reference,
                buildargs=arguments,
                network_mode=network,
                rm=True,
                forcerm=True,
                decode=True,
            ):
                said.append(line.get("stream", ""))
                if "error" in line:
                    raise BuildError(
                        f"building {reference} failed: {line['error']}\n{tail(''.join(said))}"
                    )


@contextlib.contextmanager
def docker_errors(doing: str) -> Iterator[None]:
    """Translates what the SDK raises: its own errors, and OSError for a connection that broke."""
    try:
        yield
    except (docker.errors.DockerException, OSError) as error:
        raise BuildError(f"{doing} failed: {error}") from error


def tail(text: str) -> str:
    """Cuts a program's output to its last words."""
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])
