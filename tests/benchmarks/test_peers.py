"""Peers: what is pinned, how drivers answer, and a peer that is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from peer_setup import PEERS, WITH_IMAGE, read_peers
from peers.catalogue import CATALOGUE
from peers.driver import argv_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DRIVER = """
from peers.driver import serve

class Echo:
    async def create(self):
        print("a peer that prints as it likes")
    async def run(self, command):
        if command == "fail":
            raise ValueError("\\nERROR: it cannot\\nbecause")
        return command
    async def remove(self):
        pass

serve(Echo())
"""


def test_every_peer_of_the_catalogue_is_pinned_and_has_a_driver() -> None:
    for peer in CATALOGUE:
        assert all("==" in requirement for requirement in PEERS[peer.package].requirements)
        assert (BENCHMARKS / "peers" / f"{peer.driver}.py").is_file()
        assert peer.image != "own" or peer.package in WITH_IMAGE
    assert {peer.package for peer in CATALOGUE} == set(PEERS)


def test_a_pinned_line_is_a_package_and_what_it_needs() -> None:
    peers = read_peers("# said\na[extra]==1.0 b==2.0  # why\n\nc==3\n")
    assert [(peer.package, peer.version) for peer in peers.values()] == [("a", "1.0"), ("c", "3")]
    assert peers["a"].requirements == ("a[extra]==1.0", "b==2.0")


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("echo hi", ["echo", "hi"]),
        ("echo hi | cat", ["bash", "-c", "echo hi | cat"]),
        ('echo "$a"', ["bash", "-c", 'echo "$a"']),
        ("a=1; true", ["bash", "-c", "a=1; true"]),
    ],
)
def test_a_program_needs_no_shell_and_all_else_does(command: str, argv: list[str]) -> None:
    assert argv_of(command) == argv


def test_a_driver_answers_each_order_with_its_time_or_the_peer_s_words() -> None:
    orders = [{"do": "create"}, {"do": "run", "command": "echo hi"},
              {"do": "run", "command": "fail"}, {"do": "remove"}]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input="".join(json.dumps(order) + "\n" for order in orders),
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    ready, created, ran, failed, removed = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert created["seconds"] >= 0
    assert (ran["text"], ran["size"]) == ("echo hi", 7)
    assert failed == {"error": "ValueError: it cannot"}
    assert "error" not in removed
    assert "as it likes" in done.stderr
