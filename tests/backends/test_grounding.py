"""Init scripts: what is accepted, and what a failing one says."""

from __future__ import annotations

import pytest

from plumb_backends.environment import ProgramResult
from plumb_backends.errors import InitFailed, InvalidInput
from plumb_backends.grounding import (
    MAX_SCRIPTS,
    MAX_SCRIPTS_BYTES,
    Grounding,
    decode_scripts,
    run_scripts,
)

OK = ProgramResult(stdout=b"", stderr=b"", exit_code=0)


class Runner:
    """Answers with given results, and remembers what it was asked."""

    def __init__(self, **results: ProgramResult) -> None:
        self.results = results
        self.asked: list[tuple[str, float]] = []

    async def __call__(self, script: str, timeout: float) -> ProgramResult:
        self.asked.append((script, timeout))
        return self.results.get(script, OK)


def _failed(status: int = 1, stdout: bytes = b"", stderr: bytes = b"") -> ProgramResult:
    return ProgramResult(stdout=stdout, stderr=stderr, exit_code=status)


async def test_scripts_run_in_their_order_each_with_the_timeout() -> None:
    runner = Runner()
    assert await run_scripts(Grounding(("a", "b"), timeout=7), runner) == [OK, OK]
    assert runner.asked == [("a", 7), ("b", 7)]


async def test_none_runs_after_one_that_failed() -> None:
    runner = Runner(b=_failed(3, stderr=b"why\n"))
    with pytest.raises(InitFailed) as failed:
        await run_scripts(Grounding(("a", "b", "c")), runner)
    assert str(failed.value) == "init script 2 (b) ended with exit status 3; its last lines: why"
    assert failed.value.metadata == {"script": "2", "exit_code": "3", "tail": "why"}
    assert [script for script, _ in runner.asked] == ["a", "b"]


async def test_failures_that_are_tolerated_are_results() -> None:
    results = await run_scripts(Grounding(("a", "b"), tolerate_failures=True), Runner(a=_failed(3)))
    assert [result.exit_code for result in results] == [3, 0]


async def test_one_that_ran_out_of_time_says_so() -> None:
    late = ProgramResult(stdout=b"", stderr=b"", exit_code=137, timed_out=True)
    with pytest.raises(InitFailed, match=r"init script 1 \(a\) ran longer than 2.5 s and said not"):
        await run_scripts(Grounding(("a",), timeout=2.5), Runner(a=late))


async def test_standard_output_speaks_where_standard_error_is_silent() -> None:
    with pytest.raises(InitFailed, match="its last lines: from stdout"):
        await run_scripts(Grounding(("a",)), Runner(a=_failed(stdout=b"from stdout\n")))


async def test_only_the_last_lines_are_told() -> None:
    noise = b"".join(b"line %d\n" % number for number in range(100))
    with pytest.raises(InitFailed) as failed:
        await run_scripts(Grounding(("a",)), Runner(a=_failed(stderr=noise)))
    assert failed.value.metadata["tail"].splitlines() == [f"line {n}" for n in range(80, 100)]


async def test_a_long_script_is_named_by_the_beginning_of_its_first_line() -> None:
    script = "x" * 100 + "\nsecond"
    with pytest.raises(InitFailed) as failed:
        await run_scripts(Grounding((script,)), Runner(**{script: _failed()}))
    assert f"({'x' * 77}...)" in str(failed.value)


def test_scripts_are_decoded() -> None:
    assert decode_scripts([b"echo 1", "grüße".encode()]) == ("echo 1", "grüße")
    assert decode_scripts([]) == ()


@pytest.mark.parametrize(
    ("init", "sentence"),
    [
        ([b"ok", b"a\xffb"], r"init script 2 is not UTF-8: its byte 1 is 0xff; write .* printf"),
        ([b"a\0b"], "init script 1 holds a NUL character"),
        ([b""] * (MAX_SCRIPTS + 1), f"init has {MAX_SCRIPTS + 1} scripts, at most {MAX_SCRIPTS}"),
        ([b"x" * MAX_SCRIPTS_BYTES, b"x"], f"are {MAX_SCRIPTS_BYTES + 1} bytes together"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_mend(init: list[bytes], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        decode_scripts(init)


def test_the_most_that_is_allowed_is_accepted() -> None:
    assert len(decode_scripts([b""] * MAX_SCRIPTS)) == MAX_SCRIPTS
    assert len(decode_scripts([b"x" * MAX_SCRIPTS_BYTES])) == 1
