"""The pages of reports: the leaderboard, the error browser, and comparisons."""

from __future__ import annotations

import json
import os
import re
import resource
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from plumb_gateway.security import REPORT_POLICY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import Kit

    from plumb_gateway.settings import GatewaySettings

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6}
HOSTILE = "<img src=x onerror=alert(1)>\u202e\ud800"


def row(simulator: str, agreement: float | None, **changes: Any) -> dict[str, Any]:
    """A simulator's; one of which nothing could be judged has no figures."""
    is_known = agreement is not None
    return {
        "simulator": simulator, "mode": "free", "steps": 10, "scored": 8 if is_known else 0,
        "agreement": {**INTERVAL, "value": agreement} if is_known else None,
        "false_success": INTERVAL if is_known else INTERVAL | {"value": None},
        "false_failure": INTERVAL, "backend_failures": 2,
    } | changes  # fmt: skip


def step(turn: int, verdict: str = "EMPTY", **changes: Any) -> dict[str, Any]:
    whole = {
        "scenario": "count", "simulator": "naive", "mode": "free", "turn": turn, "action": "ls",
        "real": {"text": "a\n", "exit_code": 0}, "simulated": {"text": "b\n", "exit_code": 1},
        "verdict": verdict, "flags": [verdict], "evidence": ["look here"],
    }  # fmt: skip
    return whole | changes


@pytest.fixture
def write_run(settings: GatewaySettings) -> Any:
    """Writes a run named `run`."""

    def write(rows: list[dict[str, Any]], *steps: dict[str, Any]) -> None:
        folder = settings.runs / "run"
        folder.mkdir(parents=True)
        real = {"scenarios": 1, "steps": 10, "replicas": 3, "agreement": None}
        (folder / "report.json").write_text(json.dumps({"rows": rows, "real": real}))
        (folder / "steps.jsonl").write_text("".join(json.dumps(one) + "\n" for one in steps))
        (folder / "report.html").write_text("<script>charts()</script>")

    return write


async def text_of(http: httpx.AsyncClient, path: str) -> str:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_the_leaderboard_has_the_best_first_and_those_that_are_not_ranked_last(
    http: httpx.AsyncClient, write_run: Any
) -> None:
    rows = [row("stopped", 0.99, ranked=False), row("unjudged", None), row("worse", 0.5)]
    write_run([*rows, row("better", 0.95)])
    for path in ("/reports", "/runs/run"):
        found = re.findall(r'<tr><th scope="row">(\w+) <span', await text_of(http, path))
        assert found == ["better", "worse", "stopped", "unjudged"]


async def test_the_error_browser_begins_with_what_is_wrong_and_filters(
    http: httpx.AsyncClient, write_run: Any
) -> None:
    write_run(
        [row("naive", 0.95)],
        step(1, "AGREES"), step(2), step(3, "FALSE_SUCCESS", action="cat planted"),
        step(4, "BACKEND_FAILURE", simulated={"text": "", "failure": "no model answers"}),
    )  # fmt: skip

    async def turns(query: str = "") -> list[str]:
        return re.findall(r", turn (\d+)\"", await text_of(http, f"/runs/run{query}"))

    assert await turns() == ["2", "3"]
    assert await turns("?verdict=") == ["1", "2", "3", "4"]
    assert await turns("?verdict=FALSE_SUCCESS") == ["3"]
    assert await turns("?verdict=&text=PLANTED") == ["3"]
    assert await turns("?simulator=other") == []
    assert "no model answers" in await text_of(http, "/runs/run?verdict=BACKEND_FAILURE")


async def test_a_step_s_sides_are_marked_as_the_differ_laid_them(
    http: httpx.AsyncClient, write_run: Any
) -> None:
    write_run([row("naive", 0.95)], step(1), step(2, aligned=[["x", None, "missing"]]))
    text = await text_of(http, "/runs/run")
    assert '<td dir="ltr"><mark>a</mark></td><td dir="ltr"><mark>b</mark></td>' in text
    assert '<tr class="missing"><td dir="ltr">x</td><td dir="ltr"></td></tr>' in text
    assert "look here" in text
    assert "real \u00b7 status 0" in text


async def test_many_errors_are_paged(http: httpx.AsyncClient, write_run: Any) -> None:
    write_run([row("naive", 0.95)], *(step(turn) for turn in range(120)))
    first = await text_of(http, "/runs/run?text=ls")
    assert "120 steps" in first
    more = re.search(r'href="([^"#]+)#errors" data-next', first)
    assert more is not None
    second = await text_of(http, "/runs/run" + more[1].replace("&amp;", "&"))
    assert re.findall(r", turn (\d+)\"", second) == [str(turn) for turn in range(50, 100)]


async def test_hostile_files_show_as_text(http: httpx.AsyncClient, write_run: Any) -> None:
    hostile = {"action": HOSTILE, "evidence": [HOSTILE], "real": {"text": HOSTILE}}
    write_run([row(HOSTILE, 5.0)], step(1, "EMPTY", **hostile))
    for path in ("/reports", "/runs/run"):
        text = await text_of(http, path)
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text


async def test_the_bench_s_own_page_is_in_a_box(http: httpx.AsyncClient, write_run: Any) -> None:
    write_run([row("naive", 0.95)])
    answer = await http.get("/runs/run/report.html")
    assert answer.text == "<script>charts()</script>"
    assert answer.headers["content-security-policy"] == REPORT_POLICY


@pytest.mark.parametrize("name", ["none", "..%2f..", "%00", "x" * 300])
async def test_a_run_that_is_none_is_not_found(http: httpx.AsyncClient, name: str) -> None:
    for path in (f"/runs/{name}", f"/runs/{name}/report.html"):
        assert (await http.get(path)).status_code == 404


async def test_a_run_without_its_own_page_is_not_found(
    http: httpx.AsyncClient, write_run: Any, settings: GatewaySettings
) -> None:
    write_run([row("naive", 0.95)])
    (settings.runs / "run" / "report.html").unlink()
    assert (await http.get("/runs/run/report.html")).status_code == 404


@pytest.mark.parametrize("trick", ["link", "link to itself", "pipe", "device", "folder"])
async def test_a_page_of_its_own_that_leads_elsewhere_is_not_found_and_holds_nobody_up(
    http: httpx.AsyncClient,
    write_run: Any,
    settings: GatewaySettings,
    tmp_path: Path,
    kit: type[Kit],
    trick: str,
) -> None:
    write_run([row("naive", 0.95)])
    page = settings.runs / "run" / "report.html"
    page.unlink()
    (tmp_path / "secret").write_text("canary")
    match trick:
        case "link":
            page.symlink_to(tmp_path / "secret")
        case "link to itself":
            page.symlink_to(page)
        case "pipe":
            os.mkfifo(page)
        case "device":
            page.symlink_to("/dev/zero")
        case "folder":
            page.mkdir()
    answer = await kit.soon(http.get("/runs/run/report.html"))
    assert answer.status_code == 404
    assert "canary" not in answer.text


async def test_a_run_whose_folder_is_a_link_is_not_found(
    http: httpx.AsyncClient, write_run: Any, settings: GatewaySettings, tmp_path: Path
) -> None:
    write_run([row("naive", 0.95)])
    (settings.runs / "run").rename(tmp_path / "elsewhere")
    (settings.runs / "run").symlink_to(tmp_path / "elsewhere")
    for path in ("/runs/run", "/runs/run/report.html"):
        assert (await http.get(path)).status_code == 404


async def test_a_page_of_its_own_is_sent_in_pieces_however_long_it_is(
    url: str, write_run: Any, settings: GatewaySettings
) -> None:
    write_run([row("naive", 0.95)])
    size = 300 * 1024**2
    with (settings.runs / "run" / "report.html").open("wb") as sparse:
        sparse.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        client.stream("GET", "/runs/run/report.html") as answer,
    ):
        assert sum([len(piece) async for piece in answer.aiter_raw()]) == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


async def test_a_comparison_has_a_page_that_filters(http: httpx.AsyncClient) -> None:
    body = {"kind": "shell", "actions": ["say one", "say two"], "replicas": 1}
    answer = await http.post(
        "/v1/comparisons", json={**body, "simulator": {"model": "baseline:always_empty"}}
    )
    report = json.loads(answer.text.splitlines()[-1])["report"]
    assert report["name"] in await text_of(http, "/reports")
    page = await text_of(http, f"/{report['name']}")
    assert f"{report['agreeing_steps']} of {report['scored_steps']} scored, of 2 steps" in page
    assert "No step fits." in await text_of(http, f"/{report['name']}?verdict=OVERRUN")
