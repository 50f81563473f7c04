"""What forged marks cost the server: nothing. Sessions end, and their places are given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plumb_client

KNOW = r"k=${PS1#*133;A;}; k=${k%%;*}; t=$__plumb_turn"
FIELDS = {
    "a quoted eight": r"0;$$;\$'\\\\8'",
    "a pid of 5,000 digits": "0;$(printf '9%.0s' {1..5000});'/'",
    "a status of 5,000 digits": "$(printf '9%.0s' {1..5000});$$;'/'",
    "a directory of a megabyte": "0;$$;'$(head -c 1000000 /dev/zero | tr '\\0' x)'",
}


def forge(fields: str) -> str:
    mark = rf"\e[?2004h\e]133;A;$k;$t\a\e]133;B;$k;$t;{fields};root;h\a"
    return f'{KNOW}; printf "{mark}"; sleep 0.5'


def test_a_session_that_forged_its_marks_is_deleted_and_its_place_is_free(
    start_server: Callable[..., Any], kit: Any
) -> None:
    server = start_server(PLUMB_MAX_SESSIONS="1")
    with plumb_client.connect(server.address) as plumb:
        for fields in FIELDS.values():
            with plumb.session("shell") as shell:  # is refused where the last one has its place
                shell.step(forge(fields))
                assert shell.step("echo next", timeout=60).text == "next\n"
            kit.eventually(lambda: not server.containers())
