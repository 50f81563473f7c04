"""Tests the differ on labelled pairs: `python -m plumb_bench.labelled_check FILE.jsonl …`.

Each pair is judged as a user of the library would. Fails where too few are decided as the expert
does, or a further real run is held to be wrong.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from plumb_bench.labelled import LABELS, LabelledPair, read_labelled
from plumb_bench.labelled_accuracy import (
    AIMED,
    HELD,
    LabelledAccuracy,
    Share,
    measure,
    shortfalls,
)
from plumb_bench.lines import BadLine
from plumb_fidelity.verdict import SEVERITY


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures; returns 1 where the differ falls short, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("pairs", nargs="+", type=Path, help="files of labelled pairs")
    parser.add_argument(
        "--held-out", type=Path, action="append", default=[], help="a file that is only counted"
    )
    parser.add_argument(
        "--show", action="store_true", help="list every disagreement that is not held out"
    )
    arguments = parser.parse_args(argv)
    try:
        files = {path: read_labelled(path) for path in (*arguments.pairs, *arguments.held_out)}
        pairs = _joined(files)
    except (BadLine, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found = measure(pairs)
    for line in text_of(found):
        sys.stdout.write(f"{line}\n")
    for path, own in files.items() if len(files) > 1 else ():
        ids = {pair.id for pair in own}
        agreed = (one.is_agreed for one in found.judged if one.pair.id in ids)
        sys.stdout.write(f"  {path.name}: {_shown(Share.of_all(agreed))}\n")
    hidden = {pair.id for path in arguments.held_out for pair in files[path]}
    for line in _disagreements(found, hidden) if arguments.show else ():
        sys.stdout.write(f"{line}\n")
    for line in shortfalls(found, AIMED):
        sys.stdout.write(f"  short of the aim: {line}\n")
    short = shortfalls(found, HELD)
    for line in short:
        sys.stderr.write(f"the differ falls short: {line}\n")
    return 1 if short else 0


def _joined(files: Mapping[Path, Sequence[LabelledPair]]) -> list[LabelledPair]:
    """All pairs.

    Raises:
        BadLine: Two files share an id.
    """
    seen: dict[str, Path] = {}
    for path, pairs in files.items():
        for pair in pairs:
            if pair.id in seen:
                raise BadLine(f"{path}: id {pair.id!r} is in {seen[pair.id]} already")
            seen[pair.id] = path
    return [pair for pairs in files.values() for pair in pairs]


def text_of(found: LabelledAccuracy) -> Iterator[str]:
    """The figures as lines of text."""
    kappa = "-" if found.kappa is None else f"{found.kappa:.2f}"
    yield f"labelled pairs, decided as the expert does: {_shown(found.overall)}"
    yield f"  where the sides differ: {_shown(found.different)}"
    yield f"  where the rater was sure: {_shown(found.sure)}"
    yield f"  further real runs that are held to be wrong: {_shown(found.false_alarms)}"
    yield f"  wrong answers that are held to be right: {_shown(found.missed)}"
    yield f"  κ of class and verdict, the right classes as one: {kappa}"
    yield f"  {'label':12}" + "".join(f"{'held ' + name:>18}" for name in LABELS)
    for label, row in found.decisions.items():
        yield f"  {label:12}" + "".join(f"{row.get(name, 0):18}" for name in LABELS)
    yield f"  {'class':21}{'labelled':>9}{'found':>7}{'recall':>8}{'precision':>11}  else found as"
    for name in SEVERITY:
        yield from _row(found.confusion, name)


def _row(confusion: Mapping[str, Mapping[str, int]], name: str) -> Iterator[str]:
    row = confusion.get(name, {})
    labelled, both = sum(row.values()), row.get(name, 0)
    given = sum(other.get(name, 0) for other in confusion.values())
    if labelled or given:
        others = sorted(((n, to) for to, n in row.items() if to != name), reverse=True)
        yield (
            f"  {name:21}{labelled:9}{given:7}{_percent(both, labelled):>8}"
            f"{_percent(both, given):>11}  " + ", ".join(f"{to} {n}" for n, to in others)
        ).rstrip()


def _disagreements(found: LabelledAccuracy, hidden: Collection[str]) -> Iterator[str]:
    for one in (one for one in found.disagreements if one.pair.id not in hidden):
        pair, sure = one.pair, "" if one.pair.sure else " (unsure)"
        yield f"{pair.id}: {pair.label} {pair.expected}{sure}, found {one.verdict.verdict}"
        yield f"  label: {pair.reason}"
        for evidence in one.verdict.evidence[:1]:
            yield f"  differ: {evidence[:200]}"


def _shown(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "none"
    return (
        f"{share.count} of {share.of}, {share.value:.1%} "
        f"({100 * share.low:.1f} to {100 * share.high:.1f})"
    )


def _percent(count: int, of: int) -> str:
    return f"{count / of:.0%}" if of else "-"


if __name__ == "__main__":
    sys.exit(main())
