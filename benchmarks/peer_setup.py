"""Makes the environments and images of the peers: `make bench-peers`.

Each peer is installed apart, as peers.txt pins it, since dependencies need not agree. One that
cannot be installed leaves the reason, and is a row of the table that says so.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".venv-peers"
BASE = "plumb-shell:latest"


@dataclasses.dataclass(frozen=True, slots=True)
class Installed:
    """A peer's environment.

    Attributes:
        package: Its name.
        requirements: The package, pinned, and what else it needs.
    """

    package: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return FOLDER / self.package / "bin" / "python"

    @property
    def reason(self) -> Path:
        """Where it says why there is none."""
        return FOLDER / f"{self.package}.failed"

    @property
    def stamp(self) -> Path:
        """Where it says what its image was made of."""
        return FOLDER / f"{self.package}.image"

    @property
    def image(self) -> str:
        """The shell image with the package inside, for those that want it there."""
        return f"plumb-benchmark-{self.package}:latest"

    @property
    def version(self) -> str:
        """As pinned."""
        return self.requirements[0].partition("==")[2]


def read_peers(text: str) -> dict[str, Installed]:
    """The peers of peers.txt, by package."""
    found = {}
    for line in text.splitlines():
        requirements = tuple(line.partition("#")[0].split())
        if requirements:
            package = requirements[0].partition("==")[0].partition("[")[0]
            found[package] = Installed(package, requirements)
    return found


PEERS = read_peers((HERE / "peers.txt").read_text(encoding="utf-8"))
WITH_IMAGE = ("swe-rex", "openenv-core")


def set_up(peer: Installed) -> None:
    """Installs one peer, and makes its image; quick where that was done before."""
    peer.reason.unlink(missing_ok=True)
    try:
        if not peer.python.exists():
            _uv("venv", "--python", sys.executable, str(FOLDER / peer.package))
        _uv("pip", "install", "--python", str(peer.python), *peer.requirements)
        if peer.package in WITH_IMAGE:
            _make_image(peer)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines() or [str(error)]
        peer.reason.write_text(lines[-1] + "\n", encoding="utf-8")


def _make_image(peer: Installed) -> None:
    base = _run("docker", "image", "inspect", "--format", "{{.Id}}", BASE)
    made_of = "\n".join([base.strip(), *peer.requirements, *_sources()])
    if (
        peer.stamp.exists()
        and peer.stamp.read_text(encoding="utf-8") == made_of
        and _has(peer.image)
    ):
        return
    with TemporaryDirectory() as context:
        shutil.copytree(HERE / "peers" / "image", context, dirs_exist_ok=True)
        version = _run("docker", "run", "--rm", "--network=none", BASE, "python3", "--version")
        target = ["--target", f"{context}/packages", "--python-version", version.split()[-1]]
        _uv("pip", "install", *target, *peer.requirements)
        _run("docker", "build", "--quiet", "--tag", peer.image, context)
    peer.stamp.write_text(made_of, encoding="utf-8")


def _sources() -> list[str]:
    return [
        path.read_text(encoding="utf-8") for path in sorted((HERE / "peers" / "image").iterdir())
    ]


def _has(image: str) -> bool:
    return bool(_run("docker", "image", "ls", "--quiet", image))


def _uv(*arguments: str) -> None:
    _run(os.environ.get("UV", "uv"), *arguments[:1], "--quiet", *arguments[1:])


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Sets all of them up, and says what could not be."""
    FOLDER.mkdir(exist_ok=True)
    for peer in PEERS.values():
        set_up(peer)
        state = f"not possible: {peer.reason.read_text()}" if peer.reason.exists() else "ready"
        print(f"{peer.package} {peer.version}: {state.strip()}")


if __name__ == "__main__":
    main()
