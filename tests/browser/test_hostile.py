"""What comes from a sandbox or a model is text on every page, and breaks nothing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import plumb_client

if TYPE_CHECKING:
    from tests.browser.conftest import Kit

OpenPage = Callable[..., Page]

SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
RIGHT_TO_LEFT = "invoice\u202efdp.exe\u2066x\u2069"


@pytest.fixture(scope="module")
def hostile(plumb: plumb_client.Plumb) -> Iterator[str]:
    """A session whose task, script, actions and output are hostile."""
    with plumb.session("shell", task=SCRIPT, init=[f"true {shlex.quote(SCRIPT)}"]) as shell:
        shell.step(f"echo {shlex.quote(SCRIPT)}")
        shell.step(
            "printf '\\033]0;taken\\007\\033[2J\\033[31mred\\033[0m \\033]8;;http://x\\033\\\\link'"
        )
        shell.step("head -c 5000000 /dev/zero | tr '\\0' x", timeout=300)
        shell.step(f"echo '{RIGHT_TO_LEFT}'")
        shell.step("printf '\\377\\376 \\0 \\001'")
        yield shell.name


def is_untouched(page: Page) -> bool:
    """Whether nothing that was printed had any power."""
    return "taken" not in page.title() and page.locator("img[src=x]").count() == 0


def test_markup_shows_as_text(hostile: str, open_page: OpenPage) -> None:
    page = open_page(f"/{hostile}")
    expect(page.locator("#turn-1 .output")).to_have_text(SCRIPT + "\n")
    expect(page.locator("#turn-1 .action")).to_have_text(f"echo {shlex.quote(SCRIPT)}")
    expect(page.locator(".task")).to_contain_text(SCRIPT)
    assert is_untouched(page)


def test_a_line_of_5_megabytes_is_cut_and_the_page_stays_light(
    hostile: str, open_page: OpenPage
) -> None:
    page = open_page(f"/{hostile}")
    turn = page.locator("#turn-3")
    expect(turn).to_contain_text("cut from 5,000,000 bytes")
    expect(turn).to_contain_text("more characters")
    assert len(page.content()) < 300_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    whole = turn.get_by_text("the whole text").get_attribute("href")
    answer = page.request.get(str(whole))
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.text()) > 60_000


def test_marks_of_direction_are_visible_and_turn_nothing_round(
    hostile: str, open_page: OpenPage
) -> None:
    page = open_page(f"/{hostile}")
    shown = page.locator("#turn-4 .output")
    expect(shown).to_have_text("invoiceU+202Efdp.exeU+2066xU+2069\n")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#turn-4 .output')).direction")
        == "ltr"
    )


def test_bytes_that_are_no_text_break_nothing(hostile: str, open_page: OpenPage) -> None:
    page = open_page(f"/{hostile}")
    expect(page.locator("#turn-5 .output")).to_contain_text("\ufffd\ufffd")
    page.locator("#turn-5").get_by_text("raw bytes").click()
    expect(page.locator("#turn-5 footer .output")).to_contain_text(r"\xff\xfe")


def test_raw_bytes_of_markup_and_escapes_show_as_text(hostile: str, open_page: OpenPage) -> None:
    page = open_page(f"/{hostile}")
    for number, shown in ((1, SCRIPT), (2, r"\x1b]0;taken\x07")):
        page.locator(f"#turn-{number}").get_by_text("raw bytes").click()
        expect(page.locator(f"#turn-{number} footer .output")).to_contain_text(shown)
    assert is_untouched(page)


def test_the_live_screen_takes_it_all_and_goes_on(
    hostile: str, open_page: OpenPage, kit: type[Kit]
) -> None:
    page = open_page(f"/{hostile}/live")
    actions = (
        f"echo {shlex.quote(SCRIPT)}",
        "printf '\\033]0;taken\\007\\033]52;c;dGFrZW4=\\007\\033[?1049h\\033[?25l\\033(0'",
        "head -c 5000000 /dev/zero | tr '\\0' x",
        f"echo '{RIGHT_TO_LEFT}'",
        "head -c 3000 /dev/urandom",
    )
    for number, action in enumerate(actions, 1):
        kit.run(page, action)
        answered = page.locator(f"#live[data-answers='{number}']")
        expect(answered).to_be_attached(timeout=60_000)
    kit.run(page, "clear; echo still here")
    kit.shows(page, "still here")
    assert is_untouched(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_hostile_simulator_is_shown_beside_the_real_thing(
    plumb: plumb_client.Plumb, open_page: OpenPage
) -> None:
    turn = plumb_client.RecordedTurn("echo hi", f"\x1b[2J\u202e{SCRIPT}\n" + "y" * 30_000)
    with plumb.session("shell", "paired", recordings=[[turn]]) as twin:
        twin.step("echo hi")
        page = open_page(f"/{twin.name}")
        expect(page.locator("#turn-1 .pair")).to_contain_text(SCRIPT)
        expect(page.locator("#turn-1 .judged .chip").first).to_have_class("chip wrong")
        assert is_untouched(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
