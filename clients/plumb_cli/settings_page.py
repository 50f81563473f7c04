"""`python -m plumb_cli.settings_page`: writes docs/settings.md from the settings themselves."""

import enum

from plumb_server.settings import Settings

_HEAD = """# Settings of the server

`plumb serve` reads these variables once, at start-up. This page is made by `make docs`.

| variable | default | what it sets |
|---|---|---|
"""


def page() -> str:
    """The page, as Markdown."""
    rows = [
        f"| `PLUMB_{name.upper()}` | `{_shown(field.default)}` | {field.description} |"
        for name, field in sorted(
            Settings.model_fields.items(), key=lambda item: item[0].startswith("simulator_")
        )
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _shown(default: object) -> object:
    return default.value if isinstance(default, enum.Enum) else default


if __name__ == "__main__":
    print(page(), end="")
