"""What others do with a session while a page looks at it, and what a page does to theirs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit

OpenPage = Callable[..., Page]


def test_a_link_to_a_turn_of_a_long_session_hits_it(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    with plumb.session("shell", "paired", simulator={"model": "baseline:always_empty"}) as twin:
        for number in range(1, 61):
            twin.step(f"seq {1 + 37 * number % 60}")
        for turn in (2, 31, 60):
            page = open_page(f"/{twin.name}?turn={turn}#turn-{turn}")
            article = page.locator(f"#turn-{turn}")
            expect(article).to_be_in_viewport()
            page.wait_for_load_state("networkidle")
            top = article.evaluate("one => one.getBoundingClientRect().top")
            left = page.evaluate("document.body.scrollHeight - innerHeight - scrollY")
            assert 0 <= top < 120 or left < 2, turn


def test_what_another_client_does_appears_on_the_live_page(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        state = page.locator("#state")
        expect(state).to_have_text("ready")
        shell.step("cd /tmp; echo from elsewhere")
        kit.shows(page, "from elsewhere")
        expect(page.locator("#prompt")).to_have_text("/tmp$")
        expect(page.locator("#others")).to_contain_text("Another program steps this session")
        running = threading.Thread(target=shell.step, args=("sleep 1000",))
        running.start()
        expect(state).to_have_text("running")
        page.get_by_role("button", name="Stop").click()
        running.join()
        expect(state).to_have_text("ready")
    expect(state).to_have_text("ended")


def test_one_is_warned_before_one_types_into_another_program_s_session(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.get_by_role("note")).to_contain_text("STEP_OUT_OF_ORDER")
    own = open_page("/sessions/new")
    own.get_by_role("button", name="Create").click()
    own.wait_for_url(re.compile("/live"))
    kit.run(own, "echo mine")
    kit.shows(own, "mine")
    expect(own.get_by_role("note")).to_have_count(0)


def test_the_verdicts_of_a_watched_session_are_counted_as_they_come(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    with plumb.session("shell", "paired", simulator={"model": "baseline:always_empty"}) as twin:
        page = open_page(f"/{twin.name}")
        counted = page.locator("#counted")
        expect(counted).to_have_text("0")
        twin.step("true")
        expect(counted).to_contain_text("AGREES 1")
        twin.step("echo hi")
        twin.step("echo hi")
        expect(counted).to_contain_text("EMPTY 2")
        expect(counted.locator("#steps")).to_have_text("3")


@pytest.mark.parametrize("program", ["read answer", "sleep 1000", "python3 -c 'input()'"])
def test_what_is_typed_while_something_runs_is_no_next_command(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit], program: str
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        kit.run(page, f"{program}; sleep 1000")
        expect(page.locator("#state")).to_have_text("running")
        page.keyboard.type("rm -rf /srv")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Stop it with Ctrl+C or Stop")
        expect(page.locator("#input")).to_have_value("rm -rf /srv")
        page.keyboard.press("Control+c")
        expect(page.locator("#state")).to_have_text("ready")
        assert len(plumb.journaled_steps(shell.name).steps) == 1


def test_escape_and_what_is_typed_after_it_stay_in_the_terminal(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live?own=true")
        expect(page.locator("#state")).to_have_text("ready")
        page.keyboard.press("Escape")
        page.keyboard.type("n?gs/jw")
        expect(page.locator("#input")).to_have_value("n?gs/jw")
        page.locator("h1").click()  # the focus is nowhere then
        page.keyboard.type("x")
        expect(page.locator("#input")).to_have_value("n?gs/jwx")
        expect(page).to_have_url(re.compile("/live"))
        assert shell.step("echo lives").text == "lives\n"


def test_what_is_right_is_not_marked_as_wrong(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    with plumb.session("shell", "paired", simulator={"model": "baseline:always_empty"}) as twin:
        twin.step("echo hi")
        page = open_page(f"/{twin.name}")
        row = "<tr class='wrong'><td><mark>a</mark></td><td><mark>b</mark></td></tr>"
        page.locator("#turn-1 .pair tbody").evaluate(
            "(body, row) => { body.innerHTML = row; }", row
        )
        shown = []
        for tone in ("wrong", "right"):
            page.locator("#turn-1").evaluate("(one, tone) => { one.dataset.tone = tone; }", tone)
            cell, mark = page.locator("#turn-1 td").first, page.locator("#turn-1 mark").first
            shown.append(
                (
                    cell.evaluate("one => getComputedStyle(one).backgroundColor"),
                    cell.evaluate("one => getComputedStyle(one).borderLeftColor"),
                    mark.evaluate("one => getComputedStyle(one).textDecorationColor"),
                )
            )
        assert all(wrong != right for wrong, right in zip(*shown, strict=True))


def test_a_step_of_a_run_has_the_same_name_under_every_filter(
    run_name: str, open_page: OpenPage
) -> None:
    page = open_page(f"/runs/{run_name}")
    named = page.locator("article.turn[data-simulator='always_empty']").first
    name = named.get_attribute("id")
    filtered = open_page(f"/runs/{run_name}?simulator=always_empty&verdict=")
    expect(filtered.locator(f"#{name}")).to_be_attached()
    ids = filtered.locator("article.turn").evaluate_all("all => all.map(one => one.id)")
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 500])
def test_the_report_fits_and_is_dark_where_one_wants_it_dark(
    run_name: str, open_page: OpenPage, scheme: str, width: int
) -> None:
    page = open_page(f"/runs/{run_name}/report.html", width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if width == 1280:
        table = page.locator(".scroll").first
        assert table.evaluate("one => one.scrollWidth <= one.clientWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 22, 28)") is (scheme == "dark")
    colour = page.locator("figure svg text").first.evaluate("one => getComputedStyle(one).fill")
    assert (colour == "rgb(227, 231, 237)") is (scheme == "dark")
