"""`python -m plumb_cli.settings_page`: writes docs/settings.md from the settings themselves."""

import enum

from pydantic.fields import FieldInfo

from plumb_gateway.settings import GatewaySettings
from plumb_server.settings import Settings

_HEAD = """# Settings of the server

`plumb serve` reads these variables once, at start-up. This page is made by `make docs`.

| variable | default | what it sets |
|---|---|---|
"""


def page() -> str:
    """The page, as Markdown."""
    own = sorted(Settings.model_fields.items(), key=lambda item: item[0].startswith("simulator_"))
    gateway = GatewaySettings.model_fields.items()
    rows = [
        *(_row(f"PLUMB_{name.upper()}", field) for name, field in own),
        *(_row(f"PLUMB_HTTP_{name.upper()}", field) for name, field in gateway),
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _row(variable: str, field: FieldInfo) -> str:
    return f"| `{variable}` | `{_shown(field.default)}` | {field.description} |"


def _shown(default: object) -> object:
    return default.value if isinstance(default, enum.Enum) else default


if __name__ == "__main__":
    print(page(), end="")
