"""What betrays a reply as no terminal's: breaks of format and of character.

Small pure functions that need no reference. Simulators use them to sample again, the differ to
name a class. They look at the whole reply and at what was typed, and say nothing where a real
program could well have printed the same: the words of each lexicon stand at the beginning of a
line of prose, a fence has to hold the whole reply, a prompt has to be the session's own.

The classes and the idea of a narration lexicon are those of simulated-shell evaluations: what
models add to a reply is an apology, an explanation, a code fence, or the agent's next turn.
"""

import dataclasses
import re
from collections.abc import Iterator

from plumb_fidelity import client_table


@dataclasses.dataclass(frozen=True, slots=True)
class Break:
    """One break.

    Attributes:
        name: `fence`, `narration`, `apology`, `echo`, `prompt`, `next_command` or `table`.
        evidence: What betrays it, for a person to read.
    """

    name: str
    evidence: str

    @property
    def verdict(self) -> str:
        """The verdict's class that it belongs to."""
        return _VERDICTS[self.name]


_VERDICTS = {
    "fence": "FORMAT_BREAK",
    "echo": "FORMAT_BREAK",
    "prompt": "FORMAT_BREAK",
    "table": "FORMAT_BREAK",
    "narration": "CHARACTER_BREAK",
    "apology": "CHARACTER_BREAK",
    "next_command": "OVERRUN",
}

_MOST_ASKED_FOR = 100  # lines like a prompt that are looked for in the action
_FENCE = re.compile(r"```[\w+-]*")
_APOLOGY = re.compile(
    r"(?:i'?m|i am|we are|we're) (?:very |so |really )?sorry\b"
    r"|(?:sorry|apologies),? (?:but )?(?:i|for|about)\b"
    r"|i (?:must |have to |do )?apologi[sz]e\b|my apologies\b"
    r"|(?:unfortunately,? )?(?:i|we) (?:can(?:not|'t)|am (?:not able|unable) to|won't)\b"
    r"|as (?:an? )?(?:ai|language model|large language model|assistant)\b",
    re.IGNORECASE,
)
_NARRATION = re.compile(
    r"(?:sure|certainly|of course|absolutely)[,!.](?: |$)"
    r"|here(?:'s| is| are) (?:the|your|an?|what)\b.*(?:output|result|response|command|terminal)"
    r"|(?:this|the|that) (?:command|query|statement|above|output)"
    r"(?: above)?(?: \S+)? (?:will|would|shows?|displays?|returns?|prints?|creates?|lists?|does"
    r"|is used|has been|was executed|indicates?|produces?|outputs?)\b"
    r"|(?:note|please note|remember)(?: that|:) (?:this|the|i|in a real|since|it)\b"
    r"|\(?\[?(?:no output|empty output|there is no output|nothing (?:is|was) (?:printed|returned)"
    r"|the command (?:executed|ran|completed) (?:successfully|without)[^\n]*)\)?\]?\.?$"
    r"|(?:let me know|feel free|would you like|do you want me|is there anything|you're welcome"
    r"|happy to help|i hope (?:this|that))\b"
    r"|assuming (?:that )?(?:the|you|this)\b.*[,:]"
    r"|(?:i will|i'll|i would|i'd|i have|i've) (?:now |just )?"
    r"(?:simulate|execute[d]?|run|pretend|create[d]?|act|respond)\b",
    re.IGNORECASE,
)


def find_breaks(
    output: str, action: str, *, prompt: str = "", is_table: bool = False
) -> list[Break]:
    """Everything that betrays a reply, the surest first.

    Args:
        output: The reply.
        action: What was typed.
        prompt: A regular expression for the session's own prompt, from its beginning to the space
            behind it; empty where there is none.
        is_table: Whether it should be what the `mysql` client prints.
    """
    found = [
        fence(output),
        apology(output, action),
        narration(output, action),
        echo(output, action),
        *(prompts(output, action, prompt) if prompt else ()),
        table(output) if is_table else None,
    ]
    return [one for one in found if one is not None]


def fence(output: str) -> Break | None:
    """A code fence round the whole reply. A file that is Markdown has more than one."""
    lines = output.strip().split("\n")
    opens = _FENCE.fullmatch(lines[0].strip())
    if not opens:
        return None
    fences = sum(line.strip().startswith("```") for line in lines)
    if len(lines) > 1 and not (lines[-1].strip() == "```" and fences == 2):
        return None
    return Break("fence", lines[0].strip())


def apology(output: str, action: str) -> Break | None:
    """An assistant that is sorry, cannot, or says what it is."""
    return _lexical("apology", _APOLOGY, output, action)


def narration(output: str, action: str) -> Break | None:
    """An assistant that explains, announces or offers more."""
    return _lexical("narration", _NARRATION, output, action)


def _lexical(name: str, lexicon: re.Pattern[str], output: str, action: str) -> Break | None:
    """A line of prose at either end of the reply that begins as the lexicon says.

    Only there: what stands in the middle is most likely a file's content. A line whose words the
    action itself holds was asked for (`echo Sure, why not`).
    """
    lines = [line.strip() for line in output.split("\n") if line.strip()]
    for line in dict.fromkeys([*lines[:1], *lines[-1:]]):
        if (
            lexicon.match(line.replace("\u2019", "'"))
            and line not in action
            and line.strip("()[]") not in action
        ):
            return Break(name, line[:200])
    return None


def echo(output: str, action: str) -> Break | None:
    """The action itself, repeated on the first line as a terminal's echo would."""
    typed = action.strip().split("\n")[0].strip()
    first, _, rest = output.strip("\n").partition("\n")
    if not typed or first.strip().removeprefix("$ ").removeprefix("# ") != typed:
        return None
    is_sure = " " in typed or bool(rest.strip()) or first.strip() != typed
    return Break("echo", first.strip()[:200]) if is_sure else None


def prompts(output: str, action: str, prompt: str) -> Iterator[Break]:
    """The session's prompt at the end of the reply, or with a command behind it."""
    pattern = re.compile(rf"(?:{prompt})(.*)")
    asked_for = 0
    for line in output.split("\n"):
        found = pattern.fullmatch(line.rstrip())
        if found is None or asked_for > _MOST_ASKED_FOR:
            continue
        if line.strip() in action:
            asked_for += 1
            continue
        behind = found[found.re.groups].strip()
        if behind and behind != action.strip():
            yield Break("next_command", line[:200])
        else:
            yield Break("prompt", line[:200])
        return


def table(output: str) -> Break | None:
    """Something that the `mysql` client would not print, or a table that does not add up."""
    if not output.strip():
        return None
    problems = client_table.read(output).problems
    return Break("table", problems[0]) if problems else None


_PROSE = re.compile(r"[A-Z][\w']*(?:[,;:]? [\w'\"`()-]+){5,}[.!?]")
_FUNCTION_WORD = re.compile(
    r"\b(?:the|an?|is|are|has|have|been|you|your|it|its|this|that|will|would|can|to|of|for|by|i)\b",
    re.IGNORECASE,
)


def is_prose(output: str) -> bool:
    """Whether a reply is sentences of a person: for where nothing, or an error, is due.

    A sentence has small words between the large ones; what a service prints has not.
    """
    first = output.strip().split("\n")[0].strip()
    sentence = None if re.match(r"[\w./-]+: ", first) else _PROSE.match(first)
    return sentence is not None and len(_FUNCTION_WORD.findall(sentence[0])) >= 2
