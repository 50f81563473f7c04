"""Without the extra `simulator` the server runs, and says what a simulated session lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ASK = """
import asyncio, sys
MISSING = ("openai", "sqlglot", "tenacity")

class Without:
    @staticmethod
    def find_spec(name, *_):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in MISSING else find_spec(name)

import plumb_server.app
from plumb_backends.grounding import Grounding
from plumb_backends.registry import Spec, open_backends
from plumb_backends.simulated.options import SimulatorOptions
from plumb_backends.simulated.settings import SimulatorSettings

async def main():
    async with open_backends([SimulatorSettings(base_url="http://127.0.0.1:9")]) as backends:
        spec = Spec(kind="mysql", backend="simulated", session_id="s", grounding=Grounding(),
                    backend_options=SimulatorOptions(model=sys.argv[1]))
        try:
            await backends.create(spec)
        except Exception as error:
            print(type(error).__name__, error)

asyncio.run(main())
"""


@pytest.mark.parametrize(("model", "package"), [("m", "openai"), ("baseline:sqlite", "sqlglot")])
def test_what_is_missing_is_named_with_the_mend(model: str, package: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _ASK, model], capture_output=True, text=True, check=False
    )
    assert run.stdout.startswith(f"Unsupported the server lacks the package '{package}'"), (
        run.stderr
    )
    assert "pip install './plumb[simulator]'" in run.stdout
