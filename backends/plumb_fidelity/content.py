"""What was printed, compared section by section and line by line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumb_fidelity.action import lists_names
from plumb_fidelity.align import align, match_in_any_order
from plumb_fidelity.cuts import LOOP_TIMES, is_cut_off, longest_loop, says_it_is_cut
from plumb_fidelity.jobs import without_notices
from plumb_fidelity.likeness import likeness
from plumb_fidelity.messages import same_message
from plumb_fidelity.normalise import CELL, INFO, Section, shown
from plumb_fidelity.own_lines import without_own
from plumb_fidelity.pairing import find_moved, in_tied_order, without_passing
from plumb_fidelity.seen import Seen
from plumb_fidelity.verdict import Aligned, Findings
from plumb_fidelity.volatility import (
    IMPLAUSIBLE,
    SAME,
    VOLATILE,
    WRONG,
    Template,
)

if TYPE_CHECKING:
    from plumb_fidelity.truth import Truth

_MOST_SPACE = 120  # columns of a terminal: so much may stand at the ends of lines
_NOTHING = frozenset({"[]", "{}", "None", "null", "''", '""'})  # as models write an empty output


class Content:
    """Compares what a simulator printed with what real runs did.

    Args:
        truth: The real runs.
        simulated: The simulator's answer.
        found: Where findings go; those of its status are there already.
        is_open: Whether the order of lines is open by what was typed before.
        jobs: What was started in the background, so that the shell may tell of it.
    """

    def __init__(
        self,
        truth: "Truth",
        simulated: Seen,
        found: Findings,
        *,
        is_open: bool = False,
        jobs: Sequence[str] = (),
    ) -> None:
        self._is_open = is_open
        self._jobs = jobs
        self._truth = truth
        self._real = truth.real[0]
        self._simulated = simulated
        self._found = found

    def compare(self) -> bool:
        """Compares what was printed; whether there is something to compare."""
        self._padding()
        real, simulated = self._visible(self._real.text), self._visible(self._simulated.text)
        if simulated in _NOTHING and real not in _NOTHING and not self._truth.is_table:
            simulated = ""
        if not simulated or not real:
            if simulated != real and any(run.text.strip() for run in self._truth.real) != bool(
                simulated
            ):
                self._found.flag("SPURIOUS" if simulated else "EMPTY", "")
                self._alone(self._real.text, self._simulated.text)
            return bool(simulated)
        templates = self._truth.templates
        parts = self._truth.cut(self._simulated)
        for template, part in zip(templates, parts, strict=False):
            self._section(template, part)
        if len(templates) > len(parts) > 0:
            self._found.flag("OMITTED", f"only {len(parts) // 3} of {len(templates) // 3} results")
        elif len(parts) > len(templates):
            self._found.flag(
                "FABRICATED", f"{len(parts) // 3} results instead of {len(templates) // 3}"
            )
        self._loops(parts)
        return True

    def _visible(self, text: str) -> str:
        return (without_notices(text, self._jobs) if self._jobs else text).strip()

    def _padding(self) -> None:
        """Space that nobody sees is no answer, and an agent pays for it."""
        more = _space(self._simulated.text) - _space(self._real.text)
        visible = len(self._simulated.text) - _space(self._simulated.text)
        if more > _MOST_SPACE + visible:
            self._found.flag("OVERRUN", f"{more} characters of white space too many")

    def _alone(self, real: str, simulated: str) -> None:
        self._found.aligned += [
            Aligned(line, None, "missing") for line in real.strip("\n").split("\n") if line
        ]
        self._found.aligned += [
            Aligned(None, line, "extra") for line in simulated.strip("\n").split("\n") if line
        ]
        self._found.evidence += [
            f"only {'real' if one.real else 'simulated'}: {(one.real or one.simulated or '')[:200]}"
            for one in self._found.aligned[:3]
        ]

    def _section(self, template: Template, part: Section) -> None:
        if template.section.name == "result":
            self._result(template, part)
            return
        keys = template.keys
        if tuple(keys) == part.lines and template.is_literal:
            self._found.aligned += [Aligned(shown(line), shown(line), SAME) for line in part.lines]
            return
        if template.section.name == "columns" and not (keys and part.lines):
            return  # an empty set shows no columns; the rows say what is missing
        if template.section.name == "rows":
            self._rows_at_all(template, part)
        self._lines(template, part)

    def _rows_at_all(self, template: Template, part: Section) -> None:
        if template.lines and not part.lines and not self._found.flags & {"FALSE_FAILURE"}:
            self._found.flag("EMPTY", f"no rows instead of {len(template.lines)}")
        elif part.lines and not template.lines and self._real.failed is not True:
            self._found.flag("SPURIOUS", f"{len(part.lines)} rows where there are none")

    def _lines(self, template: Template, part: Section) -> None:
        keys = template.keys
        alike = likeness(keys, part.lines)
        clock = self._truth.clock

        def likely(i: int, j: int) -> float:
            score = alike(i, j)
            line = template.lines[i]
            if score or line.is_loose(clock):
                fits = line.fits(part.lines[j], clock)[0]
                return 1.0 if fits in (SAME, VOLATILE) else score
            return score

        is_ordered = template.is_ordered and not self._is_open
        pair = align if is_ordered else match_in_any_order
        pairs = pair(keys, part.lines, likely)
        if is_ordered and self._fit_in_place(template, part):
            pairs = [(at, at) for at in range(len(keys))]
        if is_ordered and template.section.name == "rows" and template.section.keys:
            pairs = in_tied_order(template, part, pairs, likely)
        self._judge_pairs(template, part, pairs)

    def _fit_in_place(self, template: Template, part: Section) -> bool:
        """Whether each line can stand in its place: by chance one may equal another's, too."""
        lines, clock = template.lines, self._truth.clock
        return len(lines) == len(part.lines) and all(
            line.fits(text, clock)[0] in (SAME, VOLATILE)
            for line, text in zip(lines, part.lines, strict=True)
        )

    def _judge_pairs(
        self, template: Template, part: Section, pairs: Sequence[tuple[int | None, int | None]]
    ) -> None:
        keys = template.keys
        pairs = without_own(template, part, pairs, self._jobs)
        missing = [
            i for i, j in pairs if j is None and i is not None and template.lines[i].is_everywhere
        ]
        extra = [j for i, j in pairs if i is None and j is not None]
        passing = len(extra)
        extra = without_passing(template, part, extra, self._truth.clock)
        if len(extra) < passing:
            self._found.flag("VOLATILE_ONLY")
        moved = find_moved(keys, part, missing, extra)
        counted = frozenset(missing)
        wrong = 0
        for i, j in pairs:
            if i is not None and j is not None:
                wrong += self._judge_pair(template, i, part.lines[j])
            elif i is not None:
                self._note_alone(
                    keys[i],
                    None,
                    "moved" if i in moved[0] else "missing",
                    quiet=i not in counted,
                )
            elif j is not None:
                self._note_alone(None, part.lines[j], "moved" if j in moved[1] else "extra")
        if moved[0]:
            self._found.flag("WRONG_ORDER", "the same lines stand in another order")
        missing = [i for i in missing if i not in moved[0]]
        extra = [j for j in extra if j not in moved[1]]
        self._flag_alone(template, part, missing, extra, wrong)

    def _judge_pair(self, template: Template, at: int, simulated: str) -> int:
        """Looks at two lines that stand for each other; how many are wrong."""
        line = template.lines[at]
        how, why = line.fits(simulated, self._truth.clock)
        self._found.aligned.append(Aligned(shown(line.key), shown(simulated), how))
        if how == WRONG:
            name = self._name_of(template.section.name, line.key, simulated)
            self._found.flag(
                name,
                f"real: {shown(line.key)[:200]}; simulated: {shown(simulated)[:200]}"
                + (f" ({why})" if why else ""),
            )
            return 1
        if how == IMPLAUSIBLE:
            self._found.flag("IMPLAUSIBLE_VOLATILE", why)
        elif how == VOLATILE:
            self._found.flag("VOLATILE_ONLY")
        return 0

    def _name_of(self, section: str, real: str, simulated: str) -> str:
        """Another name in a listing is another file; another column another column."""
        if is_cut_off(real, simulated):
            return "TRUNCATED"
        if section == "columns":
            more = simulated.count(CELL) - real.count(CELL)
            return "FABRICATED" if more > 0 else "OMITTED" if more < 0 else "WRONG_VALUE"
        if section in ("text", "names") and lists_names(self._truth.action):
            names = real.split()[-1:], simulated.split()[-1:]
            if names[0] != names[1] and not any(map(_is_number, (*names[0], *names[1]))):
                return "FABRICATED"
        return "WRONG_VALUE"

    def _note_alone(
        self, real: str | None, simulated: str | None, mark: str, *, quiet: bool = False
    ) -> None:
        if quiet:
            return
        self._found.aligned.append(
            Aligned(
                None if real is None else shown(real),
                None if simulated is None else shown(simulated),
                mark,
            )
        )
        if mark != "moved":
            side = "real" if real is not None else "simulated"
            self._found.evidence.append(f"only {side}: {shown(real or simulated or '')[:200]}")

    def _flag_alone(
        self,
        template: Template,
        part: Section,
        missing: Sequence[int],
        extra: Sequence[int],
        wrong: int,
    ) -> None:
        cut = {j for j in extra if says_it_is_cut(part.lines[j])}
        extra = [j for j in extra if j not in cut]
        is_error = bool(self._found.flags & {"FALSE_FAILURE", "FALSE_SUCCESS", "WRONG_ERROR"})
        if missing:
            whole = len(template.lines)
            is_prefix = not extra and not wrong and min(missing) == whole - len(missing) > 0
            is_half = not extra and not wrong and len(missing) > whole / 2 and whole > 3
            if cut or is_prefix or is_half:
                self._found.flag("TRUNCATED", f"{len(missing)} of {whole} lines are cut off")
            elif part.lines and not is_error:
                self._found.flag("OMITTED")
        elif cut:
            self._found.flag("TRUNCATED")
        if extra and template.lines and not is_error:
            self._found.flag("FABRICATED")
        if is_error and (missing or extra) and "WRONG_VALUE" in self._found.flags:
            self._found.flags.discard("WRONG_VALUE")

    def _result(self, template: Template, part: Section) -> None:
        real, simulated = template.lines[0].key, part.lines[0] if part.lines else ""
        is_real, is_simulated = (line.startswith("error") for line in (real, simulated))
        if real == simulated:
            return
        if is_real != is_simulated:  # whatever is stated beside it, this is what is read
            if not self._found.flags & {"FALSE_SUCCESS", "FALSE_FAILURE", "WRONG_ERROR"}:
                name = "FALSE_SUCCESS" if is_real else "FALSE_FAILURE"
                self._found.flag(name, f"real: {real[:200]}; simulated: {simulated[:200]}")
            return
        if not is_real:
            head, info, _ = simulated.partition(INFO)
            if head != real.partition(INFO)[0] or (info and INFO in real):
                self._judge_pair(template, 0, simulated)
            return
        if _number(real) == _number(simulated) and not same_message(real, simulated):
            self._judge_pair(template, 0, simulated)

    def _loops(self, parts: Sequence[Section]) -> None:
        """Output that goes round in circles, as models do when they do not find an end."""
        lines = [line for part in parts for line in part.lines]
        real = sum(len(template.lines) for template in self._truth.templates)
        if len(lines) < real + LOOP_TIMES:
            return
        times, period = longest_loop(lines)
        if times >= LOOP_TIMES and times * period > real:
            self._found.flag("OVERRUN", f"{period} lines are repeated {times} times")


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).isdigit()


def _space(text: str) -> int:
    return len(text) - len("".join(text.split()))


def _number(line: str) -> str:
    return line.split()[1]
