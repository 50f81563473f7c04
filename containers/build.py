"""Builds the images of sessions and of the server, with and without a container registry.

The base is the registry's image where one is local or a registry answers, else a root file system
made from Debian's packages. The same Dockerfile follows either way.

Starting an engine is `engine.sh`'s work; running containers is the server's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from docker_engine import BuildError, Engine, tail
from project import context_of
from recipe import (
    IMAGES,
    SOURCES,
    Image,
    Source,
    base_of,
    debian_base,
    debian_command,
    packages_of,
    tag_of,
)


def choose_source(sources: Sequence[Source], registry_obstacle: Callable[[], str | None]) -> Source:
    """Returns the first source that can be had.

    Args:
        sources: What is allowed, in order of preference.
        registry_obstacle: Says why the registry's base is not to be had, None if it is; asked only
            if it matters.

    Raises:
        BuildError: Only the registry was allowed, and it does not give the base.
    """
    obstacle = None
    for source in sources:
        if source is not Source.REGISTRY:
            return source
        obstacle = registry_obstacle()
        if obstacle is None:
            return source
    raise BuildError(f"the base cannot be pulled ({obstacle}): mend that, or use `--base debian`")


def make_debian_root(command: Sequence[str], archive: Path) -> None:
    """Writes the archive of a Debian root file system.

    Args:
        command: mmdebstrap's, short of the file to write; the suite is its last word.
        archive: What to write.

    Raises:
        BuildError: mmdebstrap is missing or failed.
    """
    try:
        done = subprocess.run(
            [*command, str(archive)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(
            "mmdebstrap is missing: install the packages `mmdebstrap` and `debian-archive-keyring`"
        ) from error
    if done.returncode != 0:
        mend = "see its words below" if os.geteuid() == 0 else "run this as root"
        raise BuildError(
            f"mmdebstrap could not make a Debian {command[-1]}: {mend}\n{tail(done.stderr)}"
        )


def import_debian(engine: Engine, image: Image, source: Source) -> None:
    """Makes the Debian base, unless the engine has it."""
    reference = debian_base(image, source)
    if engine.has(reference):
        return
    report(f"making {reference} from {image.origin(source)}'s packages (about a minute)")
    with tempfile.TemporaryDirectory(prefix="plumb-") as folder:
        archive = Path(folder) / "root.tar"
        make_debian_root(debian_command(image, source), archive)
        engine.import_root(archive, reference)


def registry_obstacle(engine: Engine, image: Image) -> str | None:
    """Says why the registry's base is not to be had, None if it is local now."""
    if engine.has(image.registry_base):
        return None
    report(f"asking a registry for {image.registry_base}")
    return engine.pull(image.registry_base)


def build_on(engine: Engine, image: Image, source: Source) -> str:
    """Builds the image on one source's base; returns its tag."""
    if image.stands_on is not None:
        if not find_built(engine, image.stands_on, [source]):
            build_on(engine, image.stands_on, source)
    elif source is not Source.REGISTRY:
        import_debian(engine, image, source)
    tag, base = tag_of(image, source), base_of(image, source)
    report(f"building {tag} on {base}")
    # A Debian base holds all packages already: no network proves it, and works where there is none.
    network = None if source is Source.REGISTRY else "none"
    arguments = {
        "BASE": base,
        "PACKAGES": " ".join(packages_of(image, source)),
        "ORIGIN": image.origin(source),
    }
    with context_of(image, engine.architecture()) as folder:
        engine.build(folder, tag, arguments, network)
    return tag


def build_first(engine: Engine, image: Image, sources: Sequence[Source]) -> str:
    """Builds on the first source that works: a base may be local and its packages out of reach."""
    source = choose_source(sources, lambda: registry_obstacle(engine, image))
    others = sources[sources.index(source) + 1 :]
    try:
        return build_on(engine, image, source)
    except BuildError as error:
        if not others:
            raise
        report(f"{error}\nplumb: going on with {others[0]}")
        return build_first(engine, image, others)


def find_built(engine: Engine, image: Image, sources: Sequence[Source]) -> str | None:
    """Returns the tag of an image that is there and up to date."""
    tags = (tag_of(image, source) for source in sources)
    return next((tag for tag in tags if engine.has(tag)), None)


def ensure(engine: Engine, image: Image, sources: Sequence[Source]) -> str:
    """Builds the image unless it is up to date, points `latest` at it, and returns its tag."""
    sources = image.sources_of(sources)
    if image.stands_on is not None:  # what is there is not asked for again
        sources = sorted(sources, key=lambda source: not engine.has(base_of(image, source)))
    tag = find_built(engine, image, sources) or build_first(engine, image, sources)
    engine.alias(tag, f"{image.repository}:latest")
    return tag


def report(text: str) -> None:
    """Says what goes on; standard output is kept for the tag."""
    print(f"plumb: {text}", file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Builds an image of plumb's; prints its tag.")
    parser.add_argument("image", choices=sorted(IMAGES))
    parser.add_argument(
        "--base", choices=sorted(SOURCES), default="auto", help="where the base comes from"
    )
    parser.add_argument(
        "--print-tag", action="store_true", help="only print the tag of the image that is there"
    )
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> str:
    """Does what the command line asks; returns the tag."""
    image, sources = IMAGES[options.image], SOURCES[options.base]
    engine = Engine.connect()
    if not options.print_tag:
        return ensure(engine, image, sources)
    tag = find_built(engine, image, image.sources_of(sources))
    if tag is None:
        raise BuildError(f"no up-to-date {image.repository} is there: run this without --print-tag")
    return tag


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    try:
        print(run(parse(arguments)))
    except BuildError as error:
        report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
