"""An action's statements where one of them changes what a quote is."""

from __future__ import annotations

import time

import pytest

from plumb_backends.sql.splitting import Script
from plumb_backends.sql.statements import USUAL
from plumb_backends.workers import open_workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN, USUALLY = b"SET plain", b"SET usual"
"""What stands for the statements that take the escapes away, and give them back."""


async def ran(action: bytes, delimiter: bytes = b";") -> tuple[list[bytes], bytes]:
    """What is run of an action, and the delimiter that it leaves."""
    script = await Script.read(action, delimiter, USUAL, seconds=60, owner="somebody")
    has_escapes, texts = True, []
    while (one := await script.next(has_escapes=has_escapes, seconds=60)) is not None:
        texts.append(one.text)
        has_escapes = {PLAIN: False, USUALLY: True}.get(one.text, has_escapes)
    return texts, script.delimiter


@pytest.mark.parametrize("padding", [b"", b"/* " + b"x" * 9000 + b" */ "])
@pytest.mark.parametrize(
    ("action", "texts"),
    [
        (rb"SET plain; SELECT '\'; SELECT 2", [PLAIN, rb"SELECT '\'", b"SELECT 2"]),
        (rb"SET plain; SELECT '\'; SET usual; SELECT '\';a'; DO 0",
         [PLAIN, rb"SELECT '\'", USUALLY, rb"SELECT '\';a'", b"DO 0"]),
        (b"SET plain; SELECT 'a;b'; SELECT 2", [PLAIN, b"SELECT 'a;b'", b"SELECT 2"]),
        (b"SET plain;\nDELIMITER //\nSELECT '\\'//\nDELIMITER ;\nSELECT 3;",
         [PLAIN, b"SELECT '\\'", b"SELECT 3"]),
        (b"SET plain;\nuse a\nSELECT '\\';", [PLAIN, b"USE `a`", b"SELECT '\\'"]),
        (rb"SET plain; SET usual; SELECT '\';'", [PLAIN, USUALLY, rb"SELECT '\';'"]),
        (rb"SET plain; SELECT '\\'; " + b"DO 1; " * 30 + USUALLY + b"; DO 2",
         [PLAIN, rb"SELECT '\\'", *[b"DO 1"] * 30, USUALLY, b"DO 2"]),
        (b"SET plain; " + rb"SELECT '\';" * 100, [PLAIN, *[rb"SELECT '\'"] * 100]),
    ],
)  # fmt: skip
async def test_what_is_behind_a_statement_is_split_by_what_it_set(
    action: bytes, texts: list[bytes], padding: bytes
) -> None:
    found, delimiter = await ran(action + b";" * bool(padding) + padding)
    assert found[: len(texts)] == texts
    assert delimiter == b";"


async def test_many_changes_cost_little_more_than_none() -> None:
    action = rb"SET plain; SET usual; SELECT '\';'; " * 300
    async with open_workers():
        before = time.monotonic()
        found, _ = await ran(action)
    assert found == [PLAIN, USUALLY, rb"SELECT '\';'"] * 300
    assert time.monotonic() - before < 30
