"""`python -m plumb_cli.settings_page`: writes docs/settings.md from the settings themselves."""

from plumb_server.settings import Settings

_HEAD = """# Settings of the server

`plumb serve` reads these variables once, at start-up. This page is made by `make docs`.

| variable | default | what it sets |
|---|---|---|
"""


def page() -> str:
    """The page, as Markdown."""
    rows = [
        f"| `PLUMB_{name.upper()}` | `{field.default}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
