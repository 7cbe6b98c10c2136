"""What is wrong in a dataset's files: refused at the first, or counted and left out, as asked; or told and no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ovvis.errors import InputError

EXAMPLES = 10
_NAMED = 3  # examples in a message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str  # a few words, the same for all of a kind, such as "duplicate id"
    file: Path
    place: str  # the field or frame
    rule: str  # what it must be, and is not

    def __str__(self) -> str:
        return f"{self.file}: {self.place} {self.rule}".rstrip()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One reason for which something of a dataset is not used, or not used as it stands."""

    reason: str  # a clause, such as "annotations are crowds"
    count: int
    examples: tuple[str, ...]  # the first few

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,} {self.reason} ({', '.join(self.examples)}{more})"


class Problems:
    """Takes what readers find wrong.

    Args:
        refuse: raise at the first; if not, count it and let the reader go on without the entry.
    """

    def __init__(self, refuse: bool = True) -> None:
        self.refuse = refuse
        self.examples: dict[str, list[Problem]] = {}  # the first few of each kind
        self._counts: Counter[str] = Counter()
        self._mentioned: set[str] = set()

    def tell(self, problem: Problem) -> None:
        """Take a problem.

        Raises:
            InputError: problems are refused.
        """
        if self.refuse:
            raise InputError(f"{problem}: mend the file, or see all that is wrong with ovvis datasets check")
        self._take(problem, 1)

    def mention(self, problem: Problem, count: int = 1) -> None:
        """Take something that is told but never refused; its kind says what was done about it."""
        self._mentioned.add(problem.kind)
        self._take(problem, count)

    def _take(self, problem: Problem, count: int) -> None:
        self._counts[problem.kind] += count
        kept = self.examples.setdefault(problem.kind, [])
        if len(kept) < EXAMPLES and problem not in kept:
            kept.append(problem)

    def counts(self) -> dict[str, int]:
        """Return how many problems there are of each kind, the most frequent first; what was mentioned is none."""
        return {kind: count for kind, count in self._counts.most_common() if kind not in self._mentioned}

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what was told of each kind, the problems first."""
        return tuple(LeftOut(f"left out: {kind}", n, self._named(kind)) for kind, n in self.counts().items()) + (
            self.mentioned()
        )

    def mentioned(self) -> tuple[LeftOut, ...]:
        """Return what was mentioned, and is no problem."""
        return tuple(LeftOut(kind, self._counts[kind], self._named(kind)) for kind in sorted(self._mentioned))

    def _named(self, kind: str) -> tuple[str, ...]:
        return tuple(str(problem) for problem in self.examples[kind][:_NAMED])

    def summary(self) -> str:
        """Return a line that counts them and shows the first; empty if there is none."""
        found = self.counts()
        if not found:
            return ""
        counts = ", ".join(f"{count} of {kind}" for kind, count in found.items())
        first = next(problems[0] for kind, problems in self.examples.items() if kind in found)
        return f"{sum(found.values())} problems left out ({counts}); the first: {first}"
