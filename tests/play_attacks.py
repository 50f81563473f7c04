"""Plays the attacks that docs/security.md lists, and writes what came of each beside it.

Each attack of that page's tables is a test; those tests are run as they are, and a row holds where
all of its tests do.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "security.md"
TEST = re.compile(r"`(?:(?P<file>tests/[\w/]+\.py)::)?(?P<test>test_\w+)`")
FILE = re.compile(r"^Tests: `(tests/[\w/]+\.py)`", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attack:
    """A row of the page: what is tried, and the tests that try it."""

    name: str
    tests: tuple[str, ...]


def attacks_of(page: str) -> Iterator[Attack]:
    """Yields the rows of the tables of attacks; `Tests: FILE` above a table is its default."""
    file, is_attack = "", False
    for line in page.splitlines():
        if found := FILE.match(line):
            file = found[1]
        if not line.startswith("|"):
            is_attack = False
        elif line.startswith("| attack |"):
            is_attack = True
        elif is_attack and not line.startswith("|---"):
            named = [f"{found['file'] or file}::{found['test']}" for found in TEST.finditer(line)]
            yield Attack(line.split(" | ")[0].removeprefix("| "), tuple(dict.fromkeys(named)))


def outcomes(tests: Sequence[str]) -> dict[str, str]:
    """Runs tests; returns `passed`, `skipped` or `failed` by test, the worst of its variants."""
    with TemporaryDirectory(prefix="plumb-attacks-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-q"]
        run([*command, f"--junitxml={report}", *tests], cwd=PROJECT, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    worst: dict[str, str] = {}
    order = ("skipped", "passed", "failed")
    for case in cases:
        name = f"{case.get('classname', '').replace('.', '/')}.py::"
        name += case.get("name", "").partition("[")[0]
        worst[name] = max(worst.get(name, "skipped"), _outcome(case), key=order.index)
    return worst


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"


def main() -> int:
    """Plays all of them; returns 1 where one does not hold."""
    attacks = list(attacks_of(PAGE.read_text(encoding="utf-8")))
    found = outcomes(sorted({test for attack in attacks for test in attack.tests}))
    has_failed = False
    for attack in attacks:
        results = [found.get(test, "failed") for test in attack.tests]
        holds = bool(results) and "failed" not in results
        outcome = "held" if holds and "passed" in results else "not tried" if holds else "FAILED"
        has_failed |= outcome == "FAILED"
        sys.stdout.write(f"{outcome:9} {attack.name}\n")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
