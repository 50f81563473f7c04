"""The critic: a second call that hunts for what betrays a reply as unreal.

It is the Thought-Environment-Critic loop of Raj and Niemerg, "A study on techniques for improving
LLMs as general purpose agents".
"""

from plumb_backends.simulated.messages import Message
from plumb_backends.simulated.prompting import shipped
from plumb_backends.simulated.reply_format import Fields, read_object

MOST_CRITIQUES = 2
"""How often a critic may send a reply back."""

FIELDS: Fields = {
    "unreal": {"type": "boolean", "description": "whether it is surely not real"},
    "why": {"type": "string", "description": "what is wrong, or an empty text"},
}


def asked(action: str, content: str) -> str:
    """What the critic is asked about a reply."""
    return f"The action:\n\n{action}\n\nThe answer to be checked:\n\n{content}"


def read_objection(content: str | None) -> str:
    """What the critic finds; empty where it finds nothing.

    Raises:
        Malformed: It gave no judgement.
    """
    found = read_object(content, FIELDS)
    return str(found["why"]) if found["unreal"] else ""


def sent_back(content: str, why: str) -> list[Message]:
    """How a reply is sent back."""
    return [Message("assistant", content), Message("user", shipped("critique").fill(why=why))]
