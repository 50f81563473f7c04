"""What a comparison comes to: the classes, by severity, and the verdict with its evidence.

The classes are those of docs/fidelity.md, which says how each is found.
"""

import dataclasses

SEVERITY = (
    "BACKEND_FAILURE",
    "FORMAT_BREAK",
    "CHARACTER_BREAK",
    "FALSE_SUCCESS",
    "DEFAULT_ERROR",
    "FALSE_FAILURE",
    "WRONG_ERROR",
    "EMPTY",
    "SPURIOUS",
    "OVERRUN",
    "TRUNCATED",
    "FABRICATED",
    "OMITTED",
    "WRONG_VALUE",
    "WRONG_ORDER",
    "IMPLAUSIBLE_VOLATILE",
    "INCONSISTENT",
    "UNSCORABLE",
    "UNKNOWABLE",
    "VOLATILE_ONLY",
    "AGREES_BUT_LAYOUT",
    "AGREES",
)
"""The classes, the most severe first."""

AGREEING = frozenset({"AGREES", "AGREES_BUT_LAYOUT", "VOLATILE_ONLY"})
"""Verdicts of a simulator that is right."""

UNSCORED = frozenset({"BACKEND_FAILURE", "UNSCORABLE", "UNKNOWABLE"})
"""Verdicts that say nothing of right or wrong; each is counted by itself."""

HALLUCINATIONS = tuple(name for name in SEVERITY if name not in AGREEING | UNSCORED)
"""Verdicts of a simulator that is wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class Aligned:
    """Two lines that stand for each other.

    Attributes:
        real: The real line; None where only the simulator has it.
        simulated: The other; None where only the real run has it.
        mark: `same`, `layout`, `volatile`, `implausible`, `wrong`, `moved`, `missing` or `extra`.
    """

    real: str | None
    simulated: str | None
    mark: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How two observations compare.

    Attributes:
        verdict: One of `SEVERITY`.
        flags: Every class that matched, the most severe first.
        evidence: What a person should look at, one finding a line.
        aligned: The lines of both sides, where they differ.
        masked: The share of the real text, 0 to 1, that real runs do not agree on.
    """

    verdict: str
    flags: tuple[str, ...]
    evidence: tuple[str, ...]
    aligned: tuple[Aligned, ...] = ()
    masked: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the simulator is right."""
        return self.verdict in AGREEING

    @property
    def is_scored(self) -> bool:
        """Whether it is a statement about right or wrong.

        A step that is all the host's says nothing, whatever was answered: its action decides.
        """
        return self.verdict not in UNSCORED and "UNKNOWABLE" not in self.flags

    @property
    def is_wrong(self) -> bool:
        """Whether the simulator is wrong, in a step that is scored."""
        return self.is_scored and self.verdict in HALLUCINATIONS


def backend_failure(side: str, why: str) -> Verdict:
    """The verdict where one side gave no observation."""
    return Verdict("BACKEND_FAILURE", ("BACKEND_FAILURE",), (f"{side}: {why}",))


@dataclasses.dataclass(slots=True)
class Findings:
    """A comparison under way: flags and evidence as they are found."""

    flags: set[str] = dataclasses.field(default_factory=set)
    evidence: list[str] = dataclasses.field(default_factory=list)
    aligned: list[Aligned] = dataclasses.field(default_factory=list)

    def flag(self, name: str, evidence: str = "") -> None:
        """Notes a class, and why."""
        self.flags.add(name)
        if evidence:
            self.evidence.append(evidence)

    def excuse(self, name: str, why: str) -> None:
        """Puts a class in the place of all that was found: it cannot be held against anybody."""
        self.flags.clear()
        self.flags.add(name)
        self.evidence.insert(0, why)

    def verdict(self, masked: float) -> Verdict:
        """What it comes to."""
        ordered = tuple(sorted(self.flags, key=SEVERITY.index))
        return Verdict(
            ordered[0],
            ordered,
            tuple(self.evidence[:_MOST_EVIDENCE]),
            tuple(self.aligned[:_MOST_LINES]),
            masked,
        )


_MOST_LINES = 400
_MOST_EVIDENCE = 20
