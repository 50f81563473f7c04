"""The snippets of the client's page do what they say, on a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import plumb_client
from plumb_client.errors import PlumbError

if TYPE_CHECKING:
    from tests.integration.service.conftest import Server

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "client.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_snippet_of_the_page_does_what_it_says(server: Server, number: int) -> None:
    program = SNIPPETS[number].replace("127.0.0.1:50051", server.address)
    assert server.address in program
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


def test_the_page_names_every_error_and_every_method() -> None:
    errors = {
        name
        for name in plumb_client.__all__
        if isinstance(value := getattr(plumb_client, name), type) and issubclass(value, PlumbError)
    }
    methods = {
        name
        for cls in (plumb_client.Plumb, plumb_client.Session)
        for name in vars(cls)
        if not name.startswith("_")
    }
    named = set(re.findall(r"\w+", PAGE))
    assert (errors | methods) - named == set()
