"""What a shell has when the first action is typed: variables, aliases, functions, options.

Its start-up file says it once, between marks on its own terminal and with bash's builtins alone
(`guest/rc.bash`), so that a capture asks nothing of the shell and changes nothing in it. Only what
differs from a shell of the bare image is told. Nothing here does I/O.
"""

import re
from collections.abc import Iterator, Mapping

from plumb_backends.snapshot import Entry

_SECTIONS = 4
_MOST_BYTES = 128 * 1024
"""What is kept of each section."""

_MOST_VALUE = 2000
_NONE = {"value": "(not set)"}

_QUOTED = r"\"(?:[^\"\\]|\\.)*+\"|\$'(?:[^'\\]|\\.)*+'"
_ARRAY = rf"\((?:[^\")$\n]|{_QUOTED})*+\)"
_VARIABLE = re.compile(
    rf"^declare -(?P<kind>\S+) (?P<name>\w+)(?:=(?P<value>{_QUOTED}|{_ARRAY}))?$",
    re.MULTILINE | re.DOTALL,
)
_ALIAS = re.compile(
    r"^alias (?:-- )?(?P<name>[^\s=]+)=(?P<value>(?:'[^']*+'|\\')++)$", re.MULTILINE
)
_FUNCTION = re.compile(r"^(?P<name>[^\s()]+) \(\) ?$")
_OPTION = re.compile(r"^(?:shopt -(?P<set>[su])|set (?P<sign>[-+])o) (?P<name>\w+)$", re.MULTILINE)

_CHANGES_BY_ITSELF = frozenset({
    "BASHOPTS", "BASHPID", "BASH_ARGC", "BASH_ARGV", "BASH_ARGV0", "BASH_CMDS", "BASH_LINENO",
    "BASH_SOURCE", "BASH_SUBSHELL", "COLUMNS", "COMP_WORDBREAKS", "DIRSTACK", "EPOCHREALTIME",
    "EPOCHSECONDS", "FUNCNAME", "HISTCMD", "LINENO", "LINES", "OLDPWD", "PIPESTATUS", "PPID", "PWD",
    "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "_",
})  # fmt: skip
"""Variables that bash itself sets anew, or says otherwise: its options are told one by one."""

_ATTRIBUTES = {"x": "exported", "r": "readonly", "i": "integer", "a": "array", "A": "map"}


class Told:
    """Collects what the start-up file says between its marks."""

    def __init__(self) -> None:
        self._sections: list[bytearray] = []

    @property
    def is_open(self) -> bool:
        """Whether what comes next belongs to it."""
        return 0 < len(self._sections) <= _SECTIONS

    def mark(self) -> None:
        """Begins the next section; the last mark ends the last one."""
        self._sections.append(bytearray())

    def add(self, data: bytes) -> None:
        """Takes a piece of the open section."""
        section = self._sections[-1]
        section += data[: _MOST_BYTES - len(section)]

    def things(self) -> dict[str, Mapping[str, str]]:
        """What the shell has: the fields of each thing by its key."""
        if len(self._sections) <= _SECTIONS:  # the start-up files ended or replaced the shell
            return {}
        texts = [
            bytes(section).decode(errors="backslashreplace").replace("\r\n", "\n")
            for section in self._sections
        ]
        found: dict[str, Mapping[str, str]] = {}
        for match in _VARIABLE.finditer(texts[0]):
            if match["name"] not in _CHANGES_BY_ITSELF and not match["name"].startswith("__plumb"):
                found[f"variable {match['name']}"] = _variable(match)
        for match in _ALIAS.finditer(texts[1]):
            found[f"alias {match['name']}"] = {"value": _cut(match["value"])}
        for name, body in _functions(texts[2]):
            if not name.startswith("__plumb"):
                found[f"function {name}"] = {"content": _cut(body)}
        for match in _OPTION.finditer(texts[3]):
            is_on = match["set"] == "s" or match["sign"] == "-"
            found[f"shell option {match['name']}"] = {"value": "on" if is_on else "off"}
        return found


def differing(told: Told, image: Told) -> tuple[Entry, ...]:
    """What a shell has otherwise than one of the bare image, sorted by key."""
    here, there = told.things(), image.things()
    if not here:
        return ()
    return tuple(
        Entry(key, here.get(key, _NONE))
        for key in sorted({*here, *there})
        if here.get(key) != there.get(key)
    )


def _variable(match: re.Match[str]) -> Mapping[str, str]:
    value = match["value"]
    fields = {"value": _cut(_NONE["value"] if value is None else _unquoted(value))}
    attributes = [word for letter, word in _ATTRIBUTES.items() if letter in match["kind"]]
    return fields | ({"attributes": " ".join(attributes)} if attributes else {})


def _unquoted(value: str) -> str:
    """A plain value without its quotes; any other as bash would read it again."""
    if value.startswith('"'):
        value = re.sub(r"\\([\"\\$`])", r"\1", value[1:-1])
    return value.replace("\n", " ")


def _functions(text: str) -> Iterator[tuple[str, str]]:
    """Names and definitions: from one head to the next that stands behind a closing brace."""
    name, lines = "", list[str]()
    for line in text.split("\n"):
        head = _FUNCTION.match(line)
        if head and (not lines or lines[-1] == "}"):
            if name:
                yield name, "\n".join(lines) + "\n"
            name, lines = head["name"], []
        lines.append(line)
    if name:
        yield name, "\n".join(lines).rstrip("\n") + "\n"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_VALUE else text[:_MOST_VALUE] + "... (cut)"
