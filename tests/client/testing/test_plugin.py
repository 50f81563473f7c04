"""pytest's plug-in, as far as it needs no Docker: it costs nothing, and says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

HEAVY = ("docker", "grpc", "plumb_client", "testcontainers")

USES_A_SHELL = """
    def test_shell(plumb_shell):
        assert plumb_shell.step("true").exit_code == 0
"""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMB_SERVER", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Runs the tests of the folder, every warning an error."""
    # asyncio's plug-in is one of ours, and warns where it is not set up.
    return pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error", "-rs", *words)


def test_it_is_a_plugin_of_whoever_installs_plumb(pytester: pytest.Pytester) -> None:
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.plumb(kind, *options)*"])
    said = run(pytester, "--fixtures").stdout
    said.fnmatch_lines_random(
        ["plumb_server [[]session scope]*", "plumb_shell -- *", "plumb_mysql -- *"]
    )


def test_importing_it_imports_nothing_but_pytest() -> None:
    program = f"import plumb_pytest, sys; print(*sys.modules.keys() & set({HEAVY}))"
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == ""


def test_a_run_that_uses_no_fixture_of_it_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"""
        import sys
        def test_nothing():
            assert not sys.modules.keys() & set({HEAVY})
    """)
    run(pytester).assert_outcomes(passed=1)


def test_without_docker_tests_are_skipped_with_one_sentence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USES_A_SHELL)
    ran = run(pytester)
    ran.assert_outcomes(skipped=1)
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*SKIPPED*no Docker engine answers; start one, or set DOCKER_HOST*"])


def test_where_plumb_is_required_they_fail_with_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nplumb_required = true")
    pytester.makepyfile(USES_A_SHELL)
    ran = run(pytester)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["no Docker engine answers; start one, or set DOCKER_HOST*"])


@pytest.mark.parametrize("missing", ["docker", "testcontainers"])
def test_without_the_extra_they_are_skipped_with_the_mend(
    pytester: pytest.Pytester, missing: str
) -> None:
    pytester.makeconftest(f"import sys; sys.modules[{missing!r}] = None")
    pytester.makepyfile(USES_A_SHELL)
    ran = run(pytester)
    ran.assert_outcomes(skipped=1)
    ran.stdout.fnmatch_lines([f"*{missing} is missing; pip install './plumb[[]testing]'*"])


def test_a_server_that_does_not_answer_is_an_error_and_no_reason_to_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMB_SERVER", "127.0.0.1:1")
    pytester.makepyfile(USES_A_SHELL)
    ran = run(pytester)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*ServerUnavailable*"])


def test_a_marker_of_no_kind_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMB_SERVER", "127.0.0.1:1")
    pytester.makepyfile("""
        import pytest
        @pytest.mark.plumb("shel", init=["true"])
        def test_shell(plumb_shell): ...
    """)
    ran = run(pytester)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["the marker plumb names 'shel'; use shell or mysql, or neither"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ('init="echo hi"', "the marker plumb: init is one text, 'echo hi'; give a list: init=*"),
        ('init=b"echo hi"', "the marker plumb: init is one text, b'echo hi'; give a list: init=*"),
        ("image=7", "the marker plumb: image is 7; give a str"),
        ('database="shop"', "the marker plumb: database is an option of kind 'mysql'*"),
        ("imgae=7", "the marker plumb: there is no option 'imgae'; use *image*"),
    ],
)
def test_a_marker_that_makes_no_sense_is_told_with_the_mend(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: str, sentence: str
) -> None:
    monkeypatch.setenv("PLUMB_SERVER", "127.0.0.1:1")
    pytester.makepyfile(f"""
        import pytest
        @pytest.mark.plumb("shell", {options})
        def test_shell(plumb_shell): ...
    """)
    ran = run(pytester)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines([sentence.replace("[", "[[]")])
    assert "Traceback" not in ran.stdout.str()
