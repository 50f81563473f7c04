"""MySQL sessions through the service, as any client sees them.

The server is our own plug-in's: a container, as in other people's tests.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import plumb_client

if TYPE_CHECKING:
    from tests.integration.service.conftest import Kit, Server, StartServer

    from plumb_pytest import PlumbServer


@pytest.fixture
def plumb(plumb_server: PlumbServer) -> Iterator[plumb_client.Plumb]:
    """The client, connected to the server of the run."""
    with plumb_server.client() as connected:
        yield connected


@pytest.mark.plumb(database="shop", init=["CREATE TABLE t (a INT, b TEXT, c DECIMAL(5,2), d DATE)"])
def test_a_session_has_text_and_typed_rows(plumb_mysql: plumb_client.Session) -> None:
    plumb_mysql.step("INSERT INTO t VALUES (1, 'x', 1.5, '2021-01-01'), (NULL, NULL, NULL, NULL)")
    seen = plumb_mysql.step("SELECT * FROM shop.t ORDER BY a DESC")
    assert seen.columns == ("a", "b", "c", "d")
    assert seen.rows == ((1, "x", "1.50", "2021-01-01"), (None, None, None, None))
    assert seen.text.startswith("+------+------+------+------------+\n| a    | b    |")
    assert seen.text.endswith(" sec)")
    assert (seen.errno, seen.sqlstate, seen.exit_code) == (0, "", None)
    failed = plumb_mysql.step("SELECT * FROM nope")
    assert failed.text == "ERROR 1146 (42S02): Table 'shop.nope' doesn't exist"
    assert (failed.errno, failed.sqlstate, failed.rows) == (1146, "42S02", ())


@pytest.mark.plumb(rendering="tuples", max_rows=2)
def test_options_decide_how_results_look(plumb_mysql: plumb_client.Session) -> None:
    seen = plumb_mysql.step("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
    assert seen.text == "[(1,), (2,), (3,)]"
    assert seen.rows == ((1,), (2,))
    assert seen.results[0].total_rows == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"isolation": "none"}, "mysql.isolation is 'none'; use one of: shared, dedicated"),
        ({"rendering": "xml"}, "mysql.rendering is 'xml'; use one of: client, tuples, json"),
        ({"database": "a.b"}, "mysql.database is 'a.b'; use 1 to 46 bytes"),
        ({"database": "x" * 47}, "use 1 to 46 bytes"),
        ({"database": "mysql"}, "which is the server's own"),
        ({"max_rows": 100_001}, "mysql.max_rows is 100001; use 1 to 100000"),
        ({"max_text_bytes": 5}, "mysql.max_text_bytes is 5; use 1024 to 1048576"),
        ({"hostname": "x"}, "hostname is an option of kind 'shell'"),
    ],
)
def test_a_bad_option_is_one_sentence_with_the_mend(
    plumb: plumb_client.Plumb, options: dict[str, object], says: str
) -> None:
    with pytest.raises(plumb_client.InvalidInput) as caught, plumb.session("mysql", **options):  # type: ignore[arg-type]
        pass
    assert says in str(caught.value)


def test_a_failing_init_statement_names_itself(plumb: plumb_client.Plumb) -> None:
    init = ["CREATE TABLE t (a INT)", "INSERT INTO t VALUES ('x')"]
    with pytest.raises(plumb_client.InitFailed) as caught, plumb.session("mysql", init=init):
        pass
    assert "init script 2 (INSERT INTO t VALUES ('x'))" in str(caught.value)
    assert "ERROR 1366" in str(caught.value)


@pytest.mark.plumb(database="shop", init=["CREATE TABLE t (a INT)"])
def test_a_reset_and_probes_work_as_for_any_kind(plumb_mysql: plumb_client.Session) -> None:
    before = plumb_mysql.probe("rows")
    assert before == {}
    plumb_mysql.step("INSERT INTO t VALUES (1)")
    assert plumb_mysql.probe("counts") == {"shop.t": "1 rows"}
    assert plumb_mysql.probe("schema")["shop.t"].startswith("CREATE TABLE `t` (")
    assert plumb_mysql.probe("rows") == {"shop.t 1": "[1]"}
    plumb_mysql.reset()
    assert plumb_mysql.probe("rows") == before


def test_programs_do_not_run_in_a_database(plumb_mysql: plumb_client.Session) -> None:
    with pytest.raises(plumb_client.PlumbError, match="no processes"):
        plumb_mysql.exec(["ls"])


def test_after_a_kill_and_one_restart_nothing_of_ours_is_left(
    start_server: StartServer, kit: Kit
) -> None:
    killed: Server = start_server("killed")
    with plumb_client.connect(killed.address) as plumb:
        session = plumb.session("mysql", init=["CREATE TABLE t (a INT)"]).__enter__()
        session.step("SELECT 1")
        assert killed.containers()
        killed.process.send_signal(signal.SIGKILL)
        killed.wait()
    start_server("restarted")
    kit.eventually(lambda: not killed.containers())
