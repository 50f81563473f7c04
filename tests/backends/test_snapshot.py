"""Snapshots: what two sandboxes have in common, and the text that a simulator is told."""

from __future__ import annotations

from plumb_backends.snapshot import VOLATILE, Entry, Snapshot, common, render, stable


def entry(key: str, **fields: str) -> Entry:
    return Entry(key, fields)


ONE = Snapshot(
    (entry("/a", type="file", mode="644", content="1\n"), entry("/b", type="file")), ("5 more",)
)


def test_two_that_are_equal_have_all_in_common_and_nothing_is_volatile() -> None:
    both = common(ONE, ONE)
    assert both == ONE
    assert stable(both) == {"/a": {"type": "file", "mode": "644", "content": "1\n"},
                            "/b": {"type": "file"}}  # fmt: skip


def test_a_field_that_differs_is_marked_and_no_part_of_what_is_stable() -> None:
    other = Snapshot((entry("/a", type="file", mode="600", content="1\n"), ONE.entries[1]))
    both = common(ONE, other)
    assert both.entries[0].fields["mode"] == VOLATILE
    assert both.entries[0].volatile == {"mode"}
    assert stable(both)["/a"] == {"type": "file", "content": "1\n"}


def test_what_only_one_has_is_marked_as_a_whole_whichever_has_it() -> None:
    less = Snapshot(ONE.entries[:1])
    for both in (common(ONE, less), common(less, ONE)):
        assert both.entries[1].volatile == {"presence", "type"}
        assert "/b" not in stable(both)


def test_a_field_that_only_one_has_is_marked() -> None:
    other = Snapshot((entry("/a", type="file", mode="644"), ONE.entries[1]))
    assert common(ONE, other).entries[0].volatile == {"content"}


def test_the_text_has_a_line_an_entry_and_contents_below() -> None:
    snapshot = Snapshot(
        (
            entry("/a", type="file", mode="644", content="x\n\ny"),
            entry("/b", type="link", target="a"),
            Entry("/c", {"type": "file", "content": VOLATILE}, frozenset({"content"})),
            entry("/d", type="file", content="z\n"),
        ),
        ("7 more paths",),
    )
    assert render(snapshot).split("\n") == [
        "/a: file, mode 644",
        "    | x",
        "    | ",
        "    | y",
        "    \\ no newline at the end",
        "/b: link, target a",
        "/c: file",
        f"    {VOLATILE}",
        "/d: file",
        "    | z",
        "(left out: 7 more paths)",
    ]
