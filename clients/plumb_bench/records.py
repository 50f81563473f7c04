"""What a run of the bench keeps on disk, so that it can be interrupted and goes on.

A line is written and synced as soon as a trajectory is complete. What was cut off in the middle of
a line, by a crash or a kill, is no record and is run again.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plumb_bench.lines import BadLine, parse_object
from plumb_bench.scenario import Scenario
from plumb_bench.simulators import Simulator
from plumb_bench.trajectory import Trajectory

Key = tuple[str, str, str]


class Records:
    """The records of one run, in a folder.

    Args:
        folder: Where the run's files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trajectories = folder / "trajectories.jsonl"
        self._settings = folder / "run.json"
        self.done: dict[Key, Trajectory] = {}

    def check(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Refuses what `begin` would refuse, and changes nothing.

        Raises:
            BadLine: There is another run in the folder.
            OSError: The folder cannot be read.
        """
        if not self._settings.exists():
            return
        if not resume:
            raise BadLine(f"{self.folder} has a run already; --resume it, or name another --out")
        self._check_same(settings)

    def begin(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Starts, or goes on where a run was interrupted.

        What failed on a side then is not done, and is played again.

        Args:
            settings: What the results depend on; a run can be resumed only with the same.
            resume: Whether to go on.

        Raises:
            BadLine: There is another run in the folder, or what is there cannot be read.
            OSError: The folder cannot be written.
        """
        self.check(settings, resume=resume)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._settings.exists():
            self._read()
        else:
            _write_whole(self._settings, json.dumps(settings, indent=1, ensure_ascii=False))
            self._trajectories.write_bytes(b"")

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        known = parse_object(self._settings.read_bytes(), str(self._settings))
        for name, value in settings.items():
            if known.get(name) != value:
                raise BadLine(
                    f"{self._settings}: this run had {name} {_short(known.get(name))}, and now it "
                    f"is {_short(value)}; resume with the same, or name another --out"
                )

    def _read(self) -> None:
        data = self._trajectories.read_bytes() if self._trajectories.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            place = f"{self._trajectories}, line {number}"
            one = Trajectory.from_json(parse_object(line, place), place)
            if one.has_failed:
                self.done.pop(one.key, None)
            else:
                self.done[one.key] = one
        if whole != data:
            with self._trajectories.open("r+b") as file:
                file.truncate(len(whole))

    def add(self, one: Trajectory) -> None:
        """Keeps a trajectory; it is on disk when this returns."""
        line = json.dumps(one.to_json(), ensure_ascii=False).encode(errors="replace") + b"\n"
        with self._trajectories.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.done[one.key] = one


def _write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def settings_of(
    scenarios: Sequence[Scenario], simulators: Sequence[Simulator], **more: Any
) -> dict[str, Any]:
    """What the results of a run depend on."""
    return {
        "scenarios": _digest([repr(scenario) for scenario in scenarios]),
        "simulators": [
            f"{one.label} #{_digest(sorted(map(repr, one.transcripts.items())))}"
            if one.is_recorded
            else one.label
            for one in simulators
        ],
        **more,
    }


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
