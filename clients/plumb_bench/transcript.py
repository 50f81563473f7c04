"""Transcripts: what was observed of a scenario's actions; one JSON line each."""

import json
from typing import Any

from plumb_bench.player import Played, Turn
from plumb_client.values import Ending


def to_line(played: Played) -> str:
    """Writes a played scenario as a transcript, without a line end.

    The init scripts are in it, so that it can be told from which state it began.
    """
    first = played.turns[0].observation.provenance if played.turns else None
    transcript = {
        "scenario": played.scenario.id,
        "simulator": {
            "model": (first.model or first.backend) if first else "",
            "strategy": first.strategy if first else "",
        },
        "init": list(played.scenario.init),
        "turns": list(map(_turn, played.turns)),
    }
    return json.dumps(transcript, ensure_ascii=False)


def _turn(turn: Turn) -> dict[str, Any]:
    seen = turn.observation
    written: dict[str, Any] = {"action": turn.action, "observation": seen.text}
    if seen.exit_code is not None:
        written["exit_code"] = seen.exit_code
    if seen.cwd:
        written["cwd"] = seen.cwd
    else:
        written["errno"] = seen.errno
    if seen.ending is Ending.TIMED_OUT:
        written["timed_out"] = True
    return written
