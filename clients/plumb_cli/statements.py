"""Statements typed at a prompt, read as the `mysql` client reads them: up to the delimiter."""

import re

FIRST_PROMPT = "mysql> "
_PROMPTS = {"": "    -> ", "'": "    '> ", '"': '    "> ', "`": "    `> ", "/*": "   /*> "}
_DELIMITER = re.compile(r"\s*delimiter\b[ \t]*(\S*)", re.IGNORECASE)
_WHOLE_LINE = re.compile(r"\s*(?:use|exit|quit|help|\?|source|status|clear)\b", re.IGNORECASE)
_OPENS = re.compile(r"""['"`]|/\*|--(?=\s|\Z)|#|\\[gGc]|\\.""", re.DOTALL)


class StatementReader:
    r"""Collects lines until they end a statement.

    A statement ends with the delimiter, `\g` or `\G` outside of quotes and comments; `\c` gives up
    what was typed. `DELIMITER` sets another one, which goes along with each statement.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._open = ""  # the quote or comment that the next line begins in
        self._delimiter = ";"

    @property
    def prompt(self) -> str:
        """What is shown before the next line."""
        return _PROMPTS[self._open] if self._lines else FIRST_PROMPT

    def cancel(self) -> None:
        """Gives up what was typed."""
        self._lines, self._open = [], ""

    def take(self, line: str) -> str | None:
        """Takes a line; gives the action that it ends, or None where it ends none."""
        if not self._lines:
            if not line.strip():
                return None
            if found := _DELIMITER.match(line):
                self._delimiter = found[1] or self._delimiter
                return None
            if _WHOLE_LINE.match(line):
                return line
        self._lines.append(line)
        return self._finish() if self._ends(line) else None

    def rest(self) -> str | None:
        """Gives what is left at the end of input, which the client runs, too."""
        return self._finish() if "".join(self._lines).strip() else None

    def _finish(self) -> str:
        text = "\n".join(self._lines)
        self.cancel()
        if self._delimiter == ";":
            return text
        return f"DELIMITER {self._delimiter}\n{text}\nDELIMITER ;"

    def _ends(self, line: str) -> bool:
        """Whether nothing but space follows the last end of a statement in a line."""
        at, ended = 0, False
        while at < len(line):
            if self._open:
                at = self._close(line, at)
            elif line.startswith(self._delimiter, at):
                at, ended = at + len(self._delimiter), True
            elif found := _OPENS.match(line, at):
                at, ended = self._begin(found, line, ended=ended)
            else:
                ended = ended and line[at].isspace()
                at += 1
        return ended and not self._open

    def _begin(self, found: re.Match[str], line: str, *, ended: bool) -> tuple[int, bool]:
        """Passes over what begins a quote or a comment, or ends a statement by itself."""
        match found[0]:
            case "'" | '"' | "`" | "/*":
                self._open = found[0]
                return found.end(), False
            case "--" | "#":
                return len(line), ended
            case "\\g" | "\\G":
                return found.end(), True
            case "\\c":
                self.cancel()
                return len(line), False
        return found.end(), False

    def _close(self, line: str, at: int) -> int:
        """Goes to where a quote or a comment ends, or to the end of the line."""
        if self._open == "/*":
            end = line.find("*/", at)
            self._open = self._open if end < 0 else ""
            return len(line) if end < 0 else end + 2
        while at < len(line):
            if line[at] == "\\" and self._open != "`":
                at += 2
            elif line[at] == self._open:
                self._open = ""
                return at + 1
            else:
                at += 1
        return at
