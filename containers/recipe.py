"""What goes into each image, where its base comes from, and the tags that follow: no Docker here.

A tag is a hash of everything that goes in, so that nothing is built twice.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parent


class Source(StrEnum):
    """Where a base comes from."""

    REGISTRY = "registry"
    DEBIAN = "debian"
    LAST_RESORT = "last resort"  # from Debian, too, where that has not what was asked for


class Held(StrEnum):
    """What of this project an image can hold; the name of its folder in the build's."""

    DEPENDENCIES = "dependencies"  # what uv.lock says that the server needs
    PROJECT = "project"


SOURCES: Final = {
    "auto": (Source.REGISTRY, Source.DEBIAN, Source.LAST_RESORT),
    "registry": (Source.REGISTRY,),
    "debian": (Source.DEBIAN, Source.LAST_RESORT),
}
"""What each `--base` allows, in order of preference."""


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A root file system made from Debian's packages.

    Attributes:
        suite: Debian's name for the release.
        packages: The file with the package list, in the image's folder.
        options: What mmdebstrap needs besides.
        note: What people should know of it.
    """

    suite: str
    packages: str = "packages.txt"
    options: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that this project builds from the folder of its name.

    Attributes:
        name: Of its folder, too.
        registry_base: What it begins from where a registry answers.
        debian: What it begins from elsewhere.
        holds: What of this project is in it.
        stands_on: Another of these images, made on the same base, that it begins from instead.
    """

    name: str
    registry_base: str
    debian: Mapping[Source, DebianRoot] = field(default_factory=dict)
    holds: Held | None = None
    stands_on: Image | None = None

    @property
    def folder(self) -> Path:
        """What the build is given: Dockerfile, package list, start-up files."""
        return HERE / self.name

    @property
    def repository(self) -> str:
        """The name before the tag."""
        return f"plumb-{self.name}"

    def sources_of(self, allowed: Sequence[Source]) -> tuple[Source, ...]:
        """Those of the allowed sources that this image has, in their order."""
        return tuple(one for one in allowed if one is Source.REGISTRY or one in self.debian)

    def origin(self, source: Source) -> str:
        """Says for people where a base comes from."""
        if source is Source.REGISTRY:
            return self.registry_base
        root = self.debian[source]
        return f"Debian {root.suite}" + (f" ({root.note})" if root.note else "")


# Stable has no MySQL, and unstable's Release file may have expired by the time it is read.
_UNSTABLE: Final = DebianRoot("unstable", options=('--aptopt=Acquire::Check-Valid-Until "false"',))
_MARIADB: Final = DebianRoot("bookworm", packages="packages-mariadb.txt", note="MariaDB")

# Apart from the server, because the packages are a hundred times as large, and seldom change.
_PYTHON: Final = Image(
    "python", "python:3.11-slim", {Source.DEBIAN: DebianRoot("bookworm")}, Held.DEPENDENCIES
)

IMAGES: Final = {
    image.name: image
    for image in (
        Image("shell", "ubuntu:22.04", {Source.DEBIAN: DebianRoot("bookworm")}),
        Image("guest", "debian:bookworm-slim", {Source.DEBIAN: DebianRoot("bookworm")}),
        Image("mysql", "mysql:8.4", {Source.DEBIAN: _UNSTABLE, Source.LAST_RESORT: _MARIADB}),
        _PYTHON,
        Image("server", _PYTHON.registry_base, _PYTHON.debian, Held.PROJECT, stands_on=_PYTHON),
    )
}


def parse_packages(text: str) -> tuple[str, ...]:
    """Reads a package list: one name a line, `#` begins a comment."""
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(sorted(name for name in names if name))


def packages_of(image: Image, source: Source = Source.DEBIAN) -> tuple[str, ...]:
    """Reads the image's package list for a source; the registry's base gets Debian's."""
    if image.stands_on is not None:
        return ()  # it has them
    root = image.debian.get(source, image.debian[Source.DEBIAN])
    return parse_packages((image.folder / root.packages).read_text(encoding="utf-8"))


def short_hash(parts: Iterable[bytes]) -> str:
    """Hashes the parts and where each of them ends, to 12 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def mmdebstrap_command(
    suite: str, packages: Sequence[str], options: Sequence[str] = ()
) -> tuple[str, ...]:
    """Spells the command that makes a Debian root file system, short of the file to write."""
    return (
        "mmdebstrap",
        "--variant=minbase",
        # Named, so that a machine that is not Debian finds Debian's keys too.
        "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg",
        # Ubuntu's images leave these out as well.
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo",
        # Copied from this machine for the install; no business of the image.
        '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
        f"--include={','.join(packages)}",
        *options,
        suite,
    )


def debian_command(image: Image, source: Source = Source.DEBIAN) -> tuple[str, ...]:
    """Spells the command that makes the image's Debian base."""
    root = image.debian[source]
    return mmdebstrap_command(root.suite, packages_of(image, source), root.options)


def debian_base(image: Image, source: Source = Source.DEBIAN) -> str:
    """Computes the tag of the imported Debian base."""
    command = debian_command(image, source)
    return f"plumb-base-debian:{short_hash(map(str.encode, command))}"


def base_of(image: Image, source: Source) -> str:
    """Names what the Dockerfile begins from."""
    if image.stands_on is not None:
        return tag_of(image.stands_on, source)
    return image.registry_base if source is Source.REGISTRY else debian_base(image, source)


def context_parts(folder: Path) -> Iterator[bytes]:
    """Yields the name and the content of every file that the build is given."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if "__pycache__" not in name.parts:  # where Python also writes files that it renames
            yield name.as_posix().encode()
            yield path.read_bytes()


def held_parts(held: Held | None, project: Path) -> Iterator[bytes]:
    """Yields what decides the content of what an image holds of the project."""
    if held is Held.DEPENDENCIES:
        yield (project / "uv.lock").read_bytes()
    if held is Held.PROJECT:
        settings = (project / "pyproject.toml").read_bytes()
        yield settings
        wheel = tomllib.loads(settings.decode())["tool"]["hatch"]["build"]["targets"]["wheel"]
        for package in wheel["packages"]:
            yield from context_parts(project / package)


def tag_of(image: Image, source: Source) -> str:
    """Computes the content-addressed tag; the package list counts as one of the folder's files."""
    base = base_of(image, source).encode()
    parts = [base, *context_parts(image.folder), *held_parts(image.holds, PROJECT)]
    return f"{image.repository}:{short_hash(parts)}"
