"""Reads the server's settings for a command."""

import sys

import pydantic

from plumb_server.__main__ import explain
from plumb_server.settings import Settings


def read_settings() -> Settings:
    """Reads them, or ends the program with one line for each that is wrong."""
    try:
        return Settings()
    except pydantic.ValidationError as error:
        sys.stderr.write(explain(error))
        sys.exit(2)
