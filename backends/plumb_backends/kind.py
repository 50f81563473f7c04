"""What a kind of environment says about itself, for every backend alike."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of environment. One file in `kinds/` each.

    Attributes:
        name: As on the wire, for example `shell`.
        summary: One sentence for people.
        probe_suites: The names of its probe suites, sorted.
    """

    name: str
    summary: str
    probe_suites: tuple[str, ...]
