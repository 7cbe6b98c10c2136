"""What is wrong in a dataset's files: refused at the first, or counted and left out, as asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ovvis.errors import InputError

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str  # a few words, the same for all of a kind, such as "duplicate id"
    file: Path
    place: str  # the field or frame
    rule: str  # what it must be, and is not

    def __str__(self) -> str:
        return f"{self.file}: {self.place} {self.rule}".rstrip()


class Problems:
    """Takes what readers find wrong.

    Args:
        refuse: raise at the first; if not, count it and let the reader go on without the entry.
    """

    def __init__(self, refuse: bool = True) -> None:
        self.refuse = refuse
        self.examples: dict[str, list[Problem]] = {}  # the first few of each kind
        self._counts: Counter[str] = Counter()

    def tell(self, problem: Problem) -> None:
        """Take a problem.

        Raises:
            InputError: problems are refused.
        """
        if self.refuse:
            raise InputError(f"{problem}: mend the file, or see all that is wrong with ovvis datasets check")
        self._counts[problem.kind] += 1
        kept = self.examples.setdefault(problem.kind, [])
        if len(kept) < EXAMPLES:
            kept.append(problem)

    def counts(self) -> dict[str, int]:
        """Return how many there are of each kind, the most frequent first."""
        return dict(self._counts.most_common())

    def summary(self) -> str:
        """Return a line that counts them and shows the first; empty if there is none."""
        if not self.examples:
            return ""
        counts = ", ".join(f"{count} of {kind}" for kind, count in self.counts().items())
        first = next(iter(self.examples.values()))[0]
        return f"{self._counts.total()} problems left out ({counts}); the first: {first}"
