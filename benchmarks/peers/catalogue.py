"""The peers: how each is driven, and what a reader must know to compare it fairly."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """One way in which a package is used.

    Attributes:
        name: In the table.
        package: Of peers.txt.
        driver: The module beside this one that runs on the package's Python.
        image: What its containers are made of: the shell image (`base`), the shell image with the
            package in it (`own`), or `none` where it has no container.
        note: What it is, as far as the probes of step.py do not tell.
        output_megabytes: Of the output that is measured; less where 100 take many minutes.
    """

    name: str
    package: str
    driver: str
    image: Literal["base", "own", "none"]
    note: str
    output_megabytes: int = 100

    @property
    def is_exec_each(self) -> bool:
        """Whether each command is a `docker exec` of its own."""
        return self.image == "base"


CATALOGUE = (
    Peer("SWE-ReX, local", "swe-rex", "swe_rex", "none", "pexpect in the caller's process", 5),
    Peer(
        "SWE-ReX, Docker",
        "swe-rex",
        "swe_rex",
        "own",
        "HTTP to its server in the container, which has pexpect",
        5,
    ),
    Peer("llm-sandbox", "llm-sandbox", "llm_sandboxes", "base", "an exec a command"),
    Peer(
        "OpenEnv",
        "openenv-core",
        "openenv_client",
        "own",
        "WebSocket to its server in the container; it brings no shell: `bash -c` a step is ours",
    ),
    Peer(
        "Inspect, Docker",
        "inspect-ai",
        "inspect_docker",
        "base",
        "a `docker compose exec` a command",
    ),
)
