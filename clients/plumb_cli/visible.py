"""Prints texts of agents, models and files: what would steer a terminal is shown instead."""

import sys
from typing import TextIO

from plumb_bench.labels import visible


def say(text: str, file: TextIO | None = None) -> None:
    """Prints text with all that steers a terminal made visible, line ends left out."""
    print(visible(text, keep="\n"), file=file or sys.stdout)
