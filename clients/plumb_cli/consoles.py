"""Rich's console, for which text is text: no markup, no emoji, nothing that steers a terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from plumb_cli.visible import visible


class VisibleConsole(Console):
    """A console for text that agents, models and files may have a part in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Renders a string; every string of a table comes here, too."""
        return super().render_str(visible(text, keep="\n"), **options)
