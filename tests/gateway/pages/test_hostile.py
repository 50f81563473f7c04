"""Text from sandboxes and models: shown as it is, and able to do nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb_gateway.pages.hostile import escaped_bytes, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe 🌍\n\tok", "plain größe 🌍\n\tok"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a & b \"c\" 'd'", "a &amp; b &#34;c&#34; &#39;d&#39;"),
        ("\x1b[2J", '<span class="control">␛</span>[2J'),
        ("\x00", '<span class="control">␀</span>'),
        ("a\rb", 'a<span class="control">␍</span>b'),
        ("\x7f", '<span class="control">␡</span>'),
        ("\x9b31m", '<span class="control">U+009B</span>31m'),
        ("\u202egnp.exe", '<span class="control">U+202E</span>gnp.exe'),
        ("\u200b", '<span class="control">U+200B</span>'),
        (
            "\u2066x\u2069",
            '<span class="control">U+2066</span>x<span class="control">U+2069</span>',
        ),
        ("\u2028", '<span class="control">U+2028</span>'),
        ("\ufeff", '<span class="control">U+FEFF</span>'),
        ("\U000e0041", '<span class="control">U+E0041</span>'),
        ("\ud800", '<span class="control">U+D800</span>'),
        ("", ""),
    ],
)
def test_what_could_do_something_is_shown_and_does_nothing(text: str, shown: str) -> None:
    assert str(visible(text)) == shown


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_nothing_stays_that_steers_or_hides(text: str) -> None:
    shown = str(visible(text))
    shown.encode()  # a page can be sent
    left = {one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp")}
    assert left <= {"\n", "\t"}
    bare = shown.replace('<span class="control">', "").replace("</span>", "")
    assert "<" not in bare


def test_a_long_text_is_cut_and_the_rest_is_counted() -> None:
    shown = str(visible("x" * 5_000_000))
    assert shown.endswith('<span class="cut">… 4,980,000 more characters</span>')
    assert len(shown) < 21_000
    assert str(visible("x" * 20_000)) == "x" * 20_000
    assert str(visible("<" * 3, most=2)) == ('&lt;&lt;<span class="cut">… 1 more characters</span>')


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"ok\nnext", "ok\nnext"),
        (b"\x1b[0m\r\n", "\\x1b[0m\\r\n"),
        (b"\xff\x00\t", "\\xff\\x00\\t"),
        ("größe\u202e".encode(), "größe\\u202e"),
    ],
)
def test_bytes_are_shown_as_people_can_read_them(data: bytes, shown: str) -> None:
    assert escaped_bytes(data) == shown
