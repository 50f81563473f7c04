"""Reads what a model answers to a probe: the facts of the state."""

from plumb_backends.simulated.reply_format import Fields, Malformed, object_schema, read_object

_ENTRY = object_schema({"key": {"type": "string"}, "value": {"type": "string"}})
FIELDS: Fields = {"entries": {"type": "array", "items": _ENTRY, "description": "the facts"}}


def read_facts(content: str | None) -> dict[str, str]:
    """Reads the facts.

    Raises:
        Malformed: They are not as asked for.
    """
    facts = {}
    for entry in read_object(content, FIELDS)["entries"]:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(name), str) for name in ("key", "value")
        ):
            raise Malformed("an entry has no text `key` and `value`")
        facts[entry["key"]] = entry["value"]
    return facts
