"""The bash scripts that run inside a sandbox. They need bash 4.4 and nothing else."""

from importlib import resources


def script(name: str) -> str:
    """The text of one of them."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def command(name: str, *arguments: str) -> list[str]:
    """What runs one of them."""
    return ["bash", "-c", script(name), "plumb", *arguments]
