"""The pages of scenarios: what they ask for, what grounds them, and what that leaves behind."""

import asyncio
from http import HTTPStatus
from pathlib import Path

from fastapi.responses import HTMLResponse

from plumb_bench.lines import BadLine
from plumb_bench.scenario import Scenario, parse_scenario
from plumb_client import SessionOptions
from plumb_gateway.folders import list_names, open_inside
from plumb_gateway.pages.dependencies import Admitted, Shown, page_routes
from plumb_gateway.pages.rendering import page
from plumb_gateway.problem import Refused
from plumb_gateway.settings import GatewaySettings

routes = page_routes()

_MOST_LINE_BYTES = 16 * 1024 * 1024


async def _find(settings: GatewaySettings, name: str) -> Scenario:
    found, _ = await asyncio.to_thread(read_folder, settings.scenarios)
    for scenario in found:
        if scenario.id == name:
            return scenario
    raise Refused(
        HTTPStatus.NOT_FOUND, "INVALID_INPUT",
        f"there is no scenario {name[:100]!r}; /scenarios has those that there are",
    )  # fmt: skip


@routes.get("/scenarios")
async def scenarios(_: Admitted, shown: Shown, text: str = "") -> HTMLResponse:
    """All scenarios."""
    found, wrong = await asyncio.to_thread(read_folder, shown.scenarios)
    fitting = [one for one in found if text.casefold() in _searched(one)]
    return await page(
        "scenarios.html", scenarios=fitting, wrong=wrong, text=text, folder=shown.scenarios
    )


@routes.get("/scenarios/{name}")
async def scenario(_: Admitted, shown: Shown, name: str) -> HTMLResponse:
    """One scenario."""
    return await page("scenario.html", scenario=await _find(shown, name))


@routes.post("/scenarios/{name}/capture")
async def capture(plumb: Admitted, shown: Shown, name: str) -> HTMLResponse:
    """Grounds a scenario for real, and shows the state: a part of its page."""
    found = await _find(shown, name)
    options = SessionOptions(init=found.init)
    if found.database:
        options["database"] = found.database
    captured = await plumb.capture_grounding(found.environment, **options)
    return await page("captured.html", scenario=found, captured=captured)


def read_folder(folder: Path) -> tuple[list[Scenario], list[str]]:
    """The scenarios of a folder, and what is wrong with files that are none. Reads files."""
    found: dict[str, Scenario] = {}
    wrong = []
    for name in list_names(folder):
        try:
            if name.endswith(".jsonl"):
                found |= {one.id: one for one in _read(folder, name)}
        except (BadLine, OSError) as error:
            wrong.append(str(error))
    return list(found.values()), wrong


def _read(folder: Path, name: str) -> list[Scenario]:
    """All scenarios of a file, or none."""
    with open_inside(folder, name) as file:
        return [
            parse_scenario(line, f"{name}, line {number}")
            for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE_BYTES), b""), 1)
            if line.strip()
        ]


def _searched(scenario: Scenario) -> str:
    return "\n".join((scenario.id, scenario.environment, scenario.task, *scenario.tags)).casefold()
