"""The fixtures that plumb brings to pytest, in runs of somebody else's tests."""

from __future__ import annotations

import pytest

from plumb_pytest import PlumbServer

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _server(plumb_server: PlumbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_SERVER", plumb_server.address)
    monkeypatch.setenv("PLUMB_TOKEN", plumb_server.token)


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    """Runs tests, every warning an error."""
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error", "-rs")


def test_every_test_gets_a_session_of_its_own_that_is_closed_afterwards(
    pytester: pytest.Pytester, plumb_server: PlumbServer
) -> None:
    ran = run(
        pytester,
        """
        import pytest
        @pytest.mark.parametrize("again", [1, 2])
        def test_shell(plumb_shell, again):
            assert plumb_shell.step("test -e /mark").exit_code == 1
            plumb_shell.step("touch /mark")
        @pytest.mark.parametrize("again", [1, 2])
        def test_mysql(plumb_mysql, again):
            assert plumb_mysql.step("CREATE TABLE t (a INT)").errno == 0
        """,
    )
    ran.assert_outcomes(passed=4)
    with plumb_server.client() as plumb:
        assert plumb.sessions() == []


def test_a_session_of_a_test_that_fails_is_closed_too(
    pytester: pytest.Pytester, plumb_server: PlumbServer
) -> None:
    ran = run(pytester, "def test_shell(plumb_shell): assert plumb_shell.step('false').text")
    ran.assert_outcomes(failed=1)
    with plumb_server.client() as plumb:
        assert plumb.sessions() == []


def test_markers_say_what_a_session_shall_be_the_nearer_ones_first(
    pytester: pytest.Pytester,
) -> None:
    ran = run(
        pytester,
        """
        import pytest
        @pytest.mark.plumb(hostname="far", init=["echo 1 > /srv/n"])
        class TestShells:
            def test_far(self, plumb_shell):
                assert plumb_shell.step("cat /srv/n; hostname").text.split() == ["1", "far"]
            @pytest.mark.plumb(hostname="near")
            def test_near(self, plumb_shell):
                assert plumb_shell.step("cat /srv/n; hostname").text.split() == ["1", "near"]
        """,
    )
    ran.assert_outcomes(passed=2)


def test_a_marker_with_a_kind_is_for_that_kind_alone(pytester: pytest.Pytester) -> None:
    ran = run(
        pytester,
        """
        import pytest
        @pytest.mark.plumb("shell", init=["echo 1 > /srv/n"])
        @pytest.mark.plumb("mysql", database="shop", init=["CREATE TABLE t (a INT)"])
        def test_both(plumb_shell, plumb_mysql):
            assert plumb_shell.step("cat /srv/n").text.strip() == "1"
            assert plumb_mysql.step("SELECT * FROM shop.t").errno == 0
        """,
    )
    ran.assert_outcomes(passed=1)


def test_an_option_that_there_is_not_is_an_error(pytester: pytest.Pytester) -> None:
    ran = run(
        pytester,
        """
        import pytest
        @pytest.mark.plumb(inti=["true"])
        def test_shell(plumb_shell): ...
        """,
    )
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*there is no option 'inti'; use *init*"])


def test_an_image_of_a_session_that_is_not_there_skips_with_one_sentence(
    pytester: pytest.Pytester,
) -> None:
    ran = run(
        pytester,
        """
        import pytest
        @pytest.mark.plumb(image="plumb-nosuch:1")
        def test_shell(plumb_shell): ...
        """,
    )
    ran.assert_outcomes(skipped=1)
    ran.stdout.fnmatch_lines(["SKIPPED*plumb-nosuch:1*the engine does not have this image*"])


def test_an_image_of_the_server_that_is_not_there_skips_with_one_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLUMB_SERVER")
    monkeypatch.delenv("PLUMB_TOKEN")
    monkeypatch.setenv("PLUMB_SERVER_IMAGE", "plumb-server:none")
    ran = run(pytester, "def test_shell(plumb_shell): ...")
    ran.assert_outcomes(skipped=1)
    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["SKIPPED*the Docker engine has no image plumb-server:none; make it*"])
