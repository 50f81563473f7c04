"""The live page: one types, and sees what a real sandbox and a simulator answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from tests.served import eventually

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit
    from tests.served import Site

OpenPage = Callable[..., Page]


@pytest.fixture
def patient(kit: type[Kit], tmp_path: Path) -> Iterator[Site]:
    """A site that waits long enough for a page that is slow to load again."""
    site = kit.open_site(tmp_path, PLUMB_HTTP_LEAVE_GRACE="60")
    yield site
    assert site.stop() == 0


def test_a_command_is_typed_and_its_output_is_read(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        kit.run(page, "echo $((6 * 7)); cd /tmp; false")
        expect(page.locator("#prompt")).to_have_text("/tmp$")
        eventually(lambda: "\n42\n[status 1]" in kit.screen(page))
        assert [step.action for step in plumb.journaled_steps(shell.name).steps] == [
            "echo $((6 * 7)); cd /tmp; false"
        ]


def test_output_appears_while_the_command_runs_and_ctrl_c_stops_it(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        kit.run(page, "echo began; sleep 1000")
        kit.shows(page, "began")
        expect(page.locator("#state")).to_have_text("running")
        page.keyboard.press("Control+c")
        expect(page.locator("#state")).to_have_text("ready")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("[interrupted")


def test_a_block_of_lines_is_one_action(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.locator("#state")).to_have_text("ready")
        for line in ("for n in 1 2; do", "  echo got $n", "done"):
            page.keyboard.type(line)
            page.keyboard.press("Shift+Enter")
        page.keyboard.press("Enter")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("got 2")
        expect(page.locator("#state")).to_have_text("ready")
        assert len(plumb.journaled_steps(shell.name).steps) == 1


def test_the_arrows_bring_back_what_was_typed(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        for action in ("echo first", "echo second"):
            kit.run(page, action)
            expect(page.locator("#screen-one .xterm-rows")).to_contain_text(action[5:])
        page.keyboard.type("draft")
        line = page.locator("#input")
        for key, shown in (("Up", "echo second"), ("Up", "echo first"), ("Down", "echo second"),
                           ("Down", "draft")):  # fmt: skip
            page.keyboard.press(f"Arrow{key}")
            expect(line).to_have_value(shown)


def test_a_statement_is_typed_on_the_console_of_a_database(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    init = ["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1), (2)"]
    with plumb.session("mysql", database="shop", init=init) as db:
        page = open_page(f"/{db.name}/live")
        expect(page.locator("#prompt")).to_have_text("mysql>")
        kit.run(page, "SELECT SUM(a) AS total FROM t")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("| total |")
        kit.run(page, "SELECT * FROM nope")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("ERROR 1146 (42S02)")


@pytest.mark.parametrize("observe", ["real", "simulated"])
def test_a_pair_has_two_panes_one_input_and_a_verdict_for_each_step(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit], observe: str
) -> None:
    simulator = {"model": "baseline:always_empty"}
    with plumb.session("shell", "paired", simulator=simulator, observe=observe) as twin:
        page = open_page(f"/{twin.name}/live")
        expect(page.locator("#live textarea:visible:not([tabindex='-1'])")).to_have_count(1)
        kit.run(page, "echo only real")
        verdict = page.locator("#verdicts li").first
        expect(verdict).to_contain_text("EMPTY")
        eventually(lambda: kit.screen(page, "one").endswith("\nonly real"))
        assert "\n" not in kit.screen(page, "two").replace("$ echo only real", "").strip()
        kit.run(page, "true")
        expect(verdict).to_contain_text("AGREES")
        expect(page.locator("#verdicts li")).to_have_count(2)


def test_a_mistake_is_told_and_the_page_goes_on(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        kit.run(page, "a\x01b")
        expect(page.get_by_role("alert")).to_contain_text("control character")
        kit.run(page, "echo on")
        kit.shows(page, "on")


def test_a_session_that_somebody_else_steps_is_stepped_here_too(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.locator("#state")).to_have_text("ready")
        shell.step("there=7")
        kit.run(page, "echo here $there")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("here 7")


def test_a_session_is_made_with_the_form_and_ends_when_its_page_is_closed(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    page = _made_with_the_form(open_page, keep=False)
    kit.run(page, "cat /srv/n")
    expect(page.locator("#screen-one .xterm-rows")).to_contain_text("57")
    name = _session_of(page)
    assert name in {one.name for one in plumb.sessions()}
    page.close()
    eventually(lambda: name not in {one.name for one in plumb.sessions()})


def test_a_page_that_is_loaded_again_finds_its_session(
    patient: Site, open_page: OpenPage, kit: type[Kit]
) -> None:
    page = _made_with_the_form(open_page, keep=False, url=patient.url)
    kit.run(page, "x=1")
    expect(page.locator("#state")).to_have_text("ready")
    page.reload()
    kit.run(page, "echo x is $x")
    expect(page.locator("#screen-one .xterm-rows")).to_contain_text("x is 1")


@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_session_that_is_kept_lives_on_when_its_page_is_closed(
    plumb: plumb_client.Plumb, site: Site, open_page: OpenPage, kit: type[Kit], when: str
) -> None:
    page = _made_with_the_form(open_page, keep=when == "at first")
    if when == "later":
        page.get_by_label("Keep this session").check()
    kit.run(page, "echo kept")
    kit.shows(page, "kept")
    name = _session_of(page)
    page.close()
    other = _made_with_the_form(open_page, keep=False)  # which is gone after the same moment
    other_name = _session_of(other)
    other.close()
    eventually(lambda: other_name not in {one.name for one in plumb.sessions()})
    plumb.attach(name).close()


def test_what_was_before_is_on_the_screen_of_a_page_that_is_opened_later(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        shell.step("cd /tmp; echo before")
        page = open_page(f"/{shell.name}/live")
        kit.shows(page, "before")
        kit.run(page, "echo after")
        kit.shows(page, "after")
        expect(page.locator("#prompt")).to_have_text("/tmp$")
        assert kit.screen(page).count("before") == 2  # as it was typed, and as it came


def test_output_without_a_line_end_is_closed_before_what_follows(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        shell.step("printf before; false")
        shell.step("printf after")
        page = open_page(f"/{shell.name}/live")
        kit.run(page, "printf here; false")
        lines = ("$ printf before; false", "before", "[status 1]", "/root$ printf after", "after",
                 "/root$ printf here; false", "here", "[status 1]")  # fmt: skip
        eventually(lambda: kit.screen(page).splitlines() == list(lines))


def test_what_runs_already_is_said_and_can_be_stopped(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        first = open_page(f"/{shell.name}/live")
        kit.run(first, "sleep 1000")
        expect(first.locator("#state")).to_have_text("running")
        second = open_page(f"/{shell.name}/live")
        expect(second.locator("#state")).to_have_text("running")
        second.get_by_role("button", name="Stop").click()
        expect(second.locator("#state")).to_have_text("ready")
        expect(second.locator("#screen-one .xterm-rows")).to_contain_text("[interrupted")


def test_a_page_on_a_session_that_has_ended_says_so(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.locator("#state")).to_have_text("ready")
        page.locator("#input").fill("echo too late")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("ended")
    expect(page.get_by_role("alert")).to_contain_text("it was deleted")


def test_the_screen_is_scrolled_and_typed_into_by_whoever_clicks_it(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        kit.run(page, "seq -f line%g 200")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("line200")
        expect(page.locator("#state")).to_have_text("ready")
        page.keyboard.press("PageUp")
        expect(page.locator("#screen-one .xterm-rows")).not_to_contain_text("line200")
        page.keyboard.press("PageDown")
        expect(page.locator("#screen-one .xterm-rows")).to_contain_text("line200")
        page.locator("#screen-one").click()
        expect(page.locator("#input")).to_be_focused()


def test_somebody_elses_session_lives_on_when_a_page_on_it_is_closed(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}/live")
        expect(page.locator("#state")).to_have_text("ready")
        page.close()
        assert shell.step("echo alive").text == "alive\n"


def test_the_button_ends_the_session_and_shows_its_turns(
    plumb: plumb_client.Plumb, open_page: OpenPage, kit: type[Kit]
) -> None:
    page = _made_with_the_form(open_page, keep=True)
    kit.run(page, "echo last words")
    kit.shows(page, "last words")
    page.get_by_role("button", name="End session").click()
    expect(page.locator("#turn-1")).to_contain_text("last words")
    expect(page.locator(".facts")).to_contain_text("it was deleted")


def _made_with_the_form(open_page: OpenPage, *, keep: bool, url: str = "") -> Page:
    page = open_page("/sessions/new", url=url)
    page.get_by_label("Environment").select_option("shell")
    page.get_by_label("Init script").fill("echo 57 > /srv/n")
    if keep:
        page.get_by_label("Keep it").check()
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(re.compile("/live"))
    expect(page.locator("#state")).to_have_text("ready")
    return page


def _session_of(page: Page) -> str:
    return f"sessions/{page.locator('#live').get_attribute('data-session')}"
