"""State is scored by facts: what agrees, is wrong, is missing, is extra; and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest

from plumb_fidelity.state import Outcome, compare_state
from plumb_fidelity.state_facts import OPTIONAL, facts_of, read_row, row_place

FILE = "type file, mode 644, owner root:root, size 3"
DIGEST = f", sha256 {'ab' * 32}"


def counted(real: Mapping[str, str], told: Mapping[str, str]) -> tuple[int, int, int, int]:
    """Agreeing, wrong, missing, extra."""
    found = compare_state([real], told)
    return found.agreeing, found.wrong, found.missing, found.extra


def rows(*told: object, table: str = "shop.orders", width: int = 1) -> dict[str, str]:
    return {f"{table} {n:0{width}}": json.dumps(row) for n, row in enumerate(told, 1)}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"/n": FILE}, (4, 0, 0, 0)),
        ({"/n": FILE + DIGEST}, (5, 0, 0, 0)),
        ({"/n": FILE + f", sha256 {'cd' * 32}"}, (4, 1, 0, 0)),
        ({"/n": "type file, mode 0644, owner root:root, size 3 bytes"}, (4, 0, 0, 0)),
        ({"/n": "file, mode 644, owner root:root, size 3"}, (4, 0, 0, 0)),
        ({"/n": "type file, mode 600, owner root:root, size 4"}, (2, 2, 0, 0)),
        ({"/n": "type file, size 3"}, (2, 0, 2, 0)),
        ({"/n": "type deleted"}, (0, 1, 3, 0)),
        ({"/n": "no idea"}, (0, 1, 3, 0)),
        ({}, (0, 0, 4, 0)),
        ({"/n/": FILE}, (4, 0, 0, 0)),
        ({"/n": FILE, "/m": FILE}, (4, 0, 0, 4)),
        ({"/n": f"{FILE}, modified 2020-01-01 00:00:00"}, (4, 0, 0, 0)),
    ],
)
def test_a_file_is_scored_by_its_fields(
    told: dict[str, str], expected: tuple[int, int, int, int]
) -> None:
    assert counted({"/n": FILE + DIGEST}, told) == expected


@pytest.mark.parametrize("field", sorted(OPTIONAL))
def test_a_field_that_nobody_is_asked_for_is_never_missing(field: str) -> None:
    assert compare_state([{"/n": f"{FILE}, {field} x"}], {"/n": FILE}).agrees
    assert not compare_state([{"/n": f"{FILE}, {field} x"}], {"/n": f"{FILE}, {field} y"}).agrees


def test_a_link_and_a_variable_may_hold_commas_and_the_names_of_fields() -> None:
    real = {"/l": "type link, target a, mode 1", "variable X": "value a, type b"}
    assert compare_state([real], real).agreeing == 3
    assert counted(real, {**real, "/l": "type link, target a"}) == (2, 1, 0, 0)
    assert counted(real, {**real, "variable X": "value a"}) == (2, 1, 0, 0)


def test_group_members_are_one_fact() -> None:
    real = {"group a": "gid 1000, members x,y"}
    assert counted(real, {"group a": "gid 1000, members x"}) == (1, 1, 0, 0)
    assert counted(real, {"group a": "gid 1000, members x, y"}) == (1, 1, 0, 0)


@pytest.mark.parametrize("of", [1, 9, 10, 12, 100])
@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_the_number_of_a_row_is_a_number_however_it_is_padded(of: int, width: int) -> None:
    held = [[n, f"name {n}"] for n in range(of)]
    real = rows(*held, width=len(str(of)))
    assert counted(real, rows(*held, width=width)) == (of, 0, 0, 0)


def test_one_row_more_or_less_is_one_error_and_not_as_many_as_follow() -> None:
    held = [[n, "x"] for n in range(20)]
    assert counted(rows(*held), rows(*held[1:])) == (19, 0, 1, 0)
    assert counted(rows(*held), rows([99, "y"], *held)) == (20, 0, 0, 1)
    assert counted(rows(*held), rows(*held[:5], [5, "z"], *held[6:])) == (19, 1, 0, 0)


@pytest.mark.parametrize(
    ("told", "agrees"),
    [
        ('[1, "2.50", null]', True),
        ('[1,"2.50",null]', True),
        ('[1, 2.50, null]', True),
        ('["1", "2.50", null]', True),
        ('[1, "2.5", null]', False),
        ('[1, "2.50", "NULL"]', False),
        ('[1, "2.50", ""]', False),
        ('[1, "2.50"]', False),
        ("(1, 2.50, NULL)", False),
    ],
)  # fmt: skip
def test_cells_are_compared_to_the_character_however_they_are_quoted(
    told: str, agrees: bool
) -> None:
    real = {"a.t 1": '[1, "2.50", null]'}
    assert compare_state([real], {"a.t 1": told}).agrees is agrees


def test_what_real_runs_differ_in_is_no_fact() -> None:
    one = {"/n": FILE + ", sha256 aa", "process a": "user root"}
    other = {"/n": FILE.replace("size 3", "size 4") + ", sha256 bb"}
    found = compare_state([one, other], {"/n": FILE.replace("size 3", "size 9")})
    assert (found.agreeing, found.agrees) == (3, True)
    assert compare_state([one, other], {"/n": FILE, "process a": "user bob"}).agrees
    assert not compare_state([one, other], {"/n": FILE, "process b": "user bob"}).agrees


def test_a_cell_that_real_runs_differ_in_does_not_excuse_its_row() -> None:
    real = [rows([1, "a", f"12:00:0{second}"], [2, "b", None]) for second in range(3)]
    assert compare_state(real, rows([1, "a", "13:13:13"], [2, "b", None])).agreeing == 2
    found = compare_state(real, rows([1, "z", "12:00:00"], [2, "b", None]))
    assert (found.agreeing, found.wrong) == (1, 1)


def test_runs_with_different_numbers_of_rows_share_what_all_have() -> None:
    real = [rows([1], [2], [3]), rows([1], [2]), rows([1], [2], [4], [5])]
    assert compare_state(real, rows([1], [2], [7])).agrees
    found = compare_state(real, rows([1], [7], [8], [9]))
    assert (found.agreeing, found.missing, found.extra) == (1, 1, 1)


def test_rows_behind_a_cut_are_not_extra() -> None:
    real = rows([1], [2]) | {"shop.orders (cut)": "only the first 2 rows are told"}
    assert compare_state([real], rows([1], [2], [3])).agrees
    assert counted(real, rows([1])) == (1, 0, 1, 0)


CREATE = """CREATE TABLE `t` (
  `id` int NOT NULL,
  `name` varchar(20) DEFAULT 'a, b',
  PRIMARY KEY (`id`),
  KEY `by_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("`t`", "`t`", (8, 0, 0, 0)),
        ("  ", "\t", (8, 0, 0, 0)),
        ("varchar(20)", "varchar(30)", (7, 1, 0, 0)),
        ("AUTO_INCREMENT=4 ", "", (7, 0, 1, 0)),
        ("AUTO_INCREMENT=4", "AUTO_INCREMENT=5", (7, 1, 0, 0)),
        (",\n  KEY `by_name` (`name`)", "", (7, 0, 1, 0)),
        ("`name` varchar(20) DEFAULT 'a, b'", "`nme` varchar(20)", (7, 0, 1, 1)),
    ],
)
def test_a_table_is_scored_by_columns_keys_and_options(
    old: str, new: str, expected: tuple[int, int, int, int]
) -> None:
    assert counted({"shop.t": CREATE}, {"shop.t": CREATE.replace(old, new)}) == expected


def test_what_else_is_made_is_one_fact_however_it_is_spaced() -> None:
    view = {"a.v": "CREATE VIEW `v` AS select 1 AS `1`"}
    assert compare_state([view], {"a.v": "CREATE VIEW `v` AS\n  select 1 AS `1`;"}).agrees
    assert counted(view, {"a.v": "CREATE VIEW `v` AS select 2 AS `1`"}) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("told", "agrees"),
    [("12 rows", True), ("12", True), ("12 row", True), ("13 rows", False), ("many", False)],
)
def test_a_count_is_a_number(told: str, agrees: bool) -> None:
    assert compare_state([{"shop.t": "12 rows"}], {"`shop`.`t`": told}).agrees is agrees


def test_a_working_directory_is_one_fact() -> None:
    assert compare_state([{"cwd": "/srv"}], {"cwd": "/srv/"}).agrees
    assert counted({"cwd": "/srv"}, {"cwd": "/"}) == (0, 1, 0, 0)
    assert counted({"cwd": "/"}, {}) == (0, 0, 1, 0)


def test_what_differs_is_named_with_both_values() -> None:
    found = compare_state([{"/n": FILE}], {"/n": FILE.replace("644", "600"), "/m": "type deleted"})
    assert [(fact.name, fact.outcome, fact.real, fact.simulated) for fact in found.differing] == [
        ("/m: type", Outcome.EXTRA, None, "deleted"),
        ("/n: mode", Outcome.WRONG, "644", "600"),
    ]
    assert found.differing_entries == {"/m", "/n"}
    assert found.share == 3 / 5


def test_nothing_on_both_sides_agrees() -> None:
    found = compare_state([{}], {})
    assert (found.agrees, found.share, found.facts) == (True, 1.0, ())


@pytest.mark.parametrize("value", ["[" * 100_000, "[1" * 5000, "{", "", "[" + "9" * 10_000 + "]"])
def test_a_row_that_cannot_be_read_is_none(value: str) -> None:
    found = compare_state([{"a.t 1": "[1]"}], {"a.t 1": value})
    assert not found.agrees


def test_a_key_with_a_long_or_foreign_number_names_no_row() -> None:
    assert row_place(f"t {'9' * 5000}") is None
    assert row_place("t ²") is None
    assert row_place("7") is None
    assert read_row("7") is None


@pytest.mark.parametrize("unit", ["a, ", "type ", "mode 1, ", "[", "=", "a=b ", "` ", ",\n"])
def test_taking_a_value_apart_takes_time_in_proportion(unit: str) -> None:
    for start in ("type ", "CREATE TABLE a (\n", ""):
        began = time.process_time()
        facts_of(start + unit * (1_000_000 // len(unit)))
        assert time.process_time() - began < 5
