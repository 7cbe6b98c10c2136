"""What is handed out, and what whoever does it must be able to; the same for one process and for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ovvis.progress import Bars

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter


@dataclass(frozen=True, slots=True)
class Begun:
    """What a worker says when it has loaded what it needs."""

    made: dict[str, Any]  # what makes its results, as JSON knows it: the same for all, or they are not one result
    model: str  # the name of what was loaded
    shared: Any = None  # what the others need not make again, such as embedded words
    notes: tuple[str, ...] = ()  # what a person should know of what was loaded


def begun(segmenter: VideoSegmenter, made: dict[str, Any]) -> Begun:
    """Return what a worker says that has loaded a segmenter: its embedded words are what the others need not make."""
    words = segmenter.asked
    words = replace(words, text=replace(words.text, vectors=words.text.vectors.cpu()))
    return Begun(made, segmenter.model.name, words, tuple(segmenter.model.notes))


@dataclass(frozen=True, slots=True)
class Spreadable:
    """A task that is given away when others would stand idle: its workman may answer `Spread` or `WholeOnly`."""

    task: Any


@dataclass(frozen=True, slots=True)
class Spread:
    """A task cut up: parts that anybody may do at the same time, and the task that waits for all of them."""

    parts: tuple[Any, ...]  # each is answered with a `Part`, or `WholeOnly`
    then: Any  # its answer is that of the whole task


@dataclass(frozen=True, slots=True)
class Part:
    """What came of a part of a task."""

    frames: int = 0


@dataclass(frozen=True, slots=True)
class WholeOnly:
    """That a task cannot be cut up, or came apart as its parts were done: somebody must do all of it."""

    why: str  # for people


class Workman(Protocol):
    """Does one task after another, with what it loads once."""

    def begin(self, shared: Any | None) -> Begun:
        """Load what is needed.

        Args:
            shared: what another one had to share, if there was one.

        Raises:
            OvvisError: no task can be done.
        """

    def work(self, task: Any, bars: Bars) -> Any:
        """Do a task and return what is to be told of it; its result lies where it belongs, whole, or is not there.

        Raises:
            ResourceError: the machine lacks something that the next task needs too.
        """

    def tidy(self, task: Any) -> None:
        """Remove what a killed workman left of a task."""


MakeWorkman = Callable[[], Workman]
"""Makes a workman in another process: it is sent there, so it holds no networks and no open files."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker that is no more."""

    reason: str
    with_node: bool = False  # whether its whole machine went, so that its task need not be the cause


@dataclass(frozen=True, slots=True)
class Raised:
    """An error in a worker that lives on."""

    message: str
    kind: str  # "input" or "resource", which a person can mend, or the name of any other error
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task."""

    task: Any
    answer: Any = None  # what the workman returned
    problem: str | None = None  # why there is no answer
    node: str = ""
    seconds: float = 0.0  # from when it was given away


@dataclass(slots=True)
class Fare:
    """How one node fared."""

    workers: int = 0  # now
    tasks: int = 0
    seconds: float = 0.0  # of all its workers, in tasks that were done
    lost: int = 0  # workers that died, or went with it
    versions: dict[str, str] = field(default_factory=dict)
