"""The pages: what one finds on them, and how one gets there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit

OpenPage = Callable[..., Page]


def test_a_planted_divergence_is_marked_with_its_class_and_explained(
    twin: str, open_page: OpenPage
) -> None:
    page = open_page(f"/{twin}")
    turn = page.locator("#turn-2")
    expect(turn).to_have_attribute("data-tone", "wrong")
    expect(turn.locator(".judged .chip").first).to_have_text("WRONG_VALUE")
    expect(turn.locator(".judged")).to_contain_text("The right line or row, with a wrong value")
    wrong = turn.locator("tr.wrong td")
    expect(wrong.nth(0)).to_have_text("c 3")
    expect(wrong.nth(1)).to_have_text("c 4")
    expect(turn.locator("mark")).to_have_text(["3", "4"])
    expect(turn.locator("tr.same")).to_have_count(2)
    expect(page.locator("#turn-1")).to_have_attribute("data-tone", "right")


def test_the_list_tells_of_it_and_leads_there(twin: str, open_page: OpenPage) -> None:
    page = open_page("/sessions?backend=paired&verdict=WRONG_VALUE")
    row = page.locator("tr", has=page.locator(f"a[href='/{twin}']"))
    row.get_by_text("first at 2").click()
    expect(page.locator("#turn-2")).to_be_in_viewport()
    expect(page).to_have_url(re.compile(r"turn=2#turn-2$"))


def test_the_list_is_filtered_as_soon_as_a_filter_is_chosen(
    twin: str, plumb: plumb_client.Plumb, page: Page
) -> None:
    with plumb.session("shell") as shell:
        page.reload()
        expect(page.locator(f"a[href='/{shell.name}']")).to_be_visible()
        page.locator("[name=backend]").select_option("paired")
        page.wait_for_url(re.compile("backend=paired"))
        expect(page.locator(f"a[href='/{shell.name}']")).to_have_count(0)
        expect(page.locator(f"th a[href='/{twin}']")).to_be_visible()
        page.locator("[name=verdict]").select_option("INCONSISTENT")
        expect(page.locator(".empty")).to_contain_text("No session fits")


def test_a_deep_link_opens_at_its_turn(plumb: plumb_client.Plumb, open_page: OpenPage) -> None:
    with plumb.session("shell") as shell:
        for number in range(1, 131):
            shell.step(f"echo turn {number}")
        page = open_page(f"/{shell.name}?turn=117#turn-117")
        expect(page.locator("#turn-117")).to_be_in_viewport()
        expect(page.locator("#turn-117")).to_contain_text("turn 117")
        expect(page.locator("#turn-1")).to_have_count(0)
        without_anchor = open_page(f"/{shell.name}?turn=117")
        expect(without_anchor.locator("#turn-117")).to_be_in_viewport()
        without_anchor.get_by_text("Turns before").click()
        expect(without_anchor.locator("#turn-1")).to_be_visible()


def test_raw_bytes_are_shown_on_demand(plumb: plumb_client.Plumb, open_page: OpenPage) -> None:
    with plumb.session("shell") as shell:
        shell.step("printf '\\033[31mred\\033[0m\\n'")
        page = open_page(f"/{shell.name}")
        turn = page.locator("#turn-1")
        expect(turn.locator(".output")).to_have_text("red\n")
        turn.get_by_text("raw bytes").click()
        expect(turn.get_by_role("region", name=re.compile("Raw bytes"))).to_contain_text(
            r"\x1b[31mred\x1b[0m"
        )


def test_turns_appear_on_the_page_of_a_live_session_as_they_come(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    with plumb.session("shell") as shell:
        page = open_page(f"/{shell.name}")
        expect(page.locator("#none")).to_be_visible()
        for number in (1, 2):
            shell.step(f"echo word {number}")
            expect(page.locator(f"#turn-{number}")).to_contain_text(f"word {number}")
        expect(page.locator("#none")).to_have_count(0)
        expect(page.locator("#steps")).to_have_text("2")


def test_the_page_of_a_session_tells_when_it_has_ended(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    with plumb.session("shell") as shell:
        shell.step("echo once")
        page = open_page(f"/{shell.name}")
        expect(page.locator(".facts .live")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("it was deleted")
    expect(page.get_by_text("Open live")).to_have_count(0)


def test_the_arrows_pass_by_filters_and_enter_takes_one(page: Page) -> None:
    page.locator("[name=kind]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[name=kind]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("kind=shell"))


def test_the_error_browser_filters(run_name: str, open_page: OpenPage) -> None:
    page = open_page(f"/runs/{run_name}")
    turns, count = page.locator("article.turn"), page.locator("#count")
    everything = int((count.inner_text()).split()[0])
    assert everything == turns.count() > 3
    page.locator("[name=simulator]").select_option("always_empty")
    page.wait_for_url(re.compile("simulator=always_empty"))
    expect(page.locator("article.turn:not([data-simulator='always_empty'])")).to_have_count(0)
    page.locator("[name=verdict]").select_option("EMPTY")
    page.wait_for_url(re.compile("verdict=EMPTY"))
    expect(page.locator("article.turn:not([data-verdict='EMPTY'])")).to_have_count(0)
    expect(turns.first).to_be_visible()
    action = page.locator("article.turn .action").first.inner_text()
    page.locator("[name=text]").fill(action)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("text="))
    expect(turns.locator(".action").first).to_have_text(action)
    assert 0 < int(count.inner_text().split()[0]) < everything
    page.locator("[name=text]").fill("nothing has this text")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_have_text("No step fits.")


def test_the_leaderboard_ranks_and_the_benchs_own_page_is_shown_without_powers(
    run_name: str, open_page: OpenPage
) -> None:
    page = open_page("/reports")
    rows = page.locator(".figures tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("always_empty")
    page.get_by_role("link", name=run_name).click()
    page.get_by_role("link", name="Charts and all figures").click()
    page.wait_for_url("**/report.html")
    expect(page.locator("svg").first).to_be_visible()
    assert page.evaluate("origin") == "null"  # no cookie, no request is the gateway's
    page.locator("#by-simulator").select_option("always_empty")
    expect(page.locator("#count")).to_contain_text("steps")


def test_a_comparison_on_the_server_has_a_page(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    *_, report = plumb.compare(
        "shell", ["true", "echo hi"], replicas=1, simulator={"model": "baseline:always_empty"}
    )
    assert isinstance(report, plumb_client.Report)
    page = open_page("/reports")
    page.locator(f"a[href='/{report.name}']").click()
    page.wait_for_url(f"**/{report.name}")
    expect(page.locator("article.turn")).to_have_count(2)
    page.locator("[name=verdict]").select_option("wrong")
    expect(page.locator("article.turn")).to_have_count(1)
    expect(page.locator("#turn-2 .chip").first).to_have_text("EMPTY")


def test_a_scenario_is_grounded_for_real_and_its_state_is_shown(open_page: OpenPage) -> None:
    page = open_page("/scenarios")
    page.locator("[name=text]").fill("shell-003")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("text=shell-003"))
    page.get_by_role("link", name="shell-003").click()
    expect(page.locator("pre.action").first).to_have_text("groupadd -g 1400 ops")
    page.get_by_role("button", name="Ground it now").click()
    state = page.locator("#captured")
    expect(state).to_contain_text("/etc/skel/.deployrc", timeout=60_000)
    expect(state).to_contain_text("export EDITOR=nano")
    expect(state.locator(".init-results li")).to_have_count(3)


def test_the_status_page_says_what_is_up_and_what_is_not(open_page: OpenPage) -> None:
    page = open_page("/status")
    expect(page.locator("tr", has_text="engine").first).to_contain_text("works")
    model = page.locator("tr", has_text="model")
    expect(model).to_contain_text("not there")
    expect(model).to_contain_text("OPENAI_API_KEY")


def test_what_is_not_there_is_told_in_a_sentence_on_a_page(open_page: OpenPage) -> None:
    page = open_page("/sessions")
    answer = page.request.get("/sessions/x", headers={"Accept": "text/html"})
    assert answer.status == 400
    assert "not a session name" in answer.text()


def test_a_selection_is_exported(twin: str, open_page: OpenPage, kit: type[Kit]) -> None:
    page = open_page("/sessions?backend=paired")
    page.get_by_label(f"Export {twin.removeprefix('sessions/')[:8]}").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="ShareGPT").click()
    assert len(download.value.path().read_text().splitlines()) == 1
    conversations = download.value.path().read_text()
    assert '{"from": "gpt", "value": "cat /srv/n"}' in conversations
    assert '{"from": "human", "value": "a 1\\nb 2\\nc 3\\n"}' in conversations
