"""Every test gets an environment of its own, with what it needs in it."""

import pytest
from tidy_logs import count_errors, tidy


@pytest.mark.plumb(init=["mkdir /logs && touch /logs/empty.log && echo x > /logs/full.log"])
def test_empty_logs_are_removed(plumb_shell):
    assert tidy(plumb_shell, "/logs") == ["full.log"]
    assert plumb_shell.exec(["cat", "/logs/full.log"]).stdout == b"x\n"


@pytest.mark.plumb(init=["mkdir /logs"])
def test_a_folder_without_logs_is_left_as_it_is(plumb_shell):
    assert tidy(plumb_shell, "/logs") == []


@pytest.mark.plumb(
    database="shop",
    init=[
        "CREATE TABLE entries (service VARCHAR(20), level VARCHAR(10))",
        "INSERT INTO entries VALUES ('web', 'ERROR'), ('web', 'ERROR'), ('db', 'INFO')",
    ],
)
def test_errors_are_counted_by_service(plumb_mysql):
    assert count_errors(plumb_mysql) == {"web": 2}


def test_several_environments_in_one_test(plumb_server):
    with (
        plumb_server.client() as plumb,
        plumb.session("shell") as one,
        plumb.session("shell") as other,
    ):
        one.step("touch /only-here")
        assert other.exec(["test", "-e", "/only-here"]).exit_code == 1
