"""Handing tasks out, without a cluster: workers that answer, die or raise as a script says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from ovvis.cluster import crew as crew_module
from ovvis.cluster.crew import Crew
from ovvis.cluster.facts import Agreement, versions
from ovvis.cluster.work import Begun, Lost, Outcome, Raised
from ovvis.errors import InputError, ResourceError


@dataclass(eq=False)
class ScriptHand:
    node: str
    versions: dict[str, str] = field(default_factory=versions)
    doing: object = None
    shared: object = None


class ScriptHands:
    """Workers whose answer to a task is the next of the task's script; without one it is the task in capitals."""

    def __init__(
        self, room: int = 2, scripts: dict[str, list[object]] | None = None, starts: list | None = None
    ) -> None:
        self.most, self.scripts, self.starts = room, scripts or {}, starts or []
        self.here: list[ScriptHand] = []
        self.hired: list[ScriptHand] = []
        self.given: list[str] = []
        self.under_way_at_most = 0

    def room(self) -> int:
        return self.most

    def hire(self, shared: object) -> ScriptHand:
        hand = ScriptHand(f"node{len(self.hired) % 2}", shared=shared)
        hand.doing = self.starts.pop(0) if self.starts else Begun({"short_edge": 32}, "tiny", "words")
        self.here.append(hand)
        self.hired.append(hand)
        return hand

    def give(self, hand: ScriptHand, task: str) -> None:
        assert hand in self.here and hand.doing is None
        self.given.append(task)
        hand.doing = self.scripts[task].pop(0) if self.scripts.get(task) else task.upper()
        self.under_way_at_most = max(self.under_way_at_most, sum(hand.doing is not None for hand in self.here))

    def dismiss(self, hand: ScriptHand) -> None:
        self.here = [one for one in self.here if one is not hand]

    def wait(self, seconds: float) -> list[tuple[ScriptHand, object]]:
        found = [(hand, hand.doing) for hand in self.here if hand.doing is not None][:1]
        for hand, _ in found:
            hand.doing = None
        return found

    def under_way(self) -> int:
        return 0


def run(hands: ScriptHands, tasks, **settings) -> list[Outcome]:
    settings = {"agree": lambda *_: None, "say": lambda _: None} | settings
    crew = Crew(hands, **settings)
    outcomes = list(crew.run(tasks))
    assert hands.here == []  # nobody stays
    return outcomes


def answers(outcomes: list[Outcome]) -> dict[str, object]:
    return {outcome.task: outcome.answer if outcome.problem is None else outcome.problem for outcome in outcomes}


def test_each_task_is_done_once() -> None:
    hands = ScriptHands(room=3)
    assert answers(run(hands, "abcdefg")) == {name: name.upper() for name in "abcdefg"}
    assert sorted(hands.given) == list("abcdefg") and len(hands.hired) == 3


def test_the_first_worker_shares_its_words_with_the_others() -> None:
    hands = ScriptHands(room=3)
    run(hands, "abcdefg")
    assert [hand.shared for hand in hands.hired] == [None, "words", "words"]


@pytest.mark.parametrize(
    ("room", "workers", "tasks", "hired"), [(5, None, "ab", 2), (5, 2, "abcdef", 2), (0, None, "ab", 1)]
)
def test_no_more_workers_than_tasks_or_places(room, workers, tasks, hired) -> None:
    hands = ScriptHands(room=room)
    run(hands, tasks, workers=workers)
    assert len(hands.hired) == hired


def test_nothing_to_do_starts_nobody() -> None:
    hands = ScriptHands()
    assert run(hands, "") == [] and hands.hired == []


def test_a_million_names_are_read_as_they_are_needed() -> None:
    read = 0

    def names() -> Iterator[str]:
        nonlocal read
        for number in range(1_000_000):
            read = number + 1
            yield f"v{number}"

    hands = ScriptHands(room=4)
    crew = Crew(hands, agree=lambda *_: None, say=lambda _: None)
    for done, _ in enumerate(outcomes := crew.run(names()), 1):
        assert read <= done + 8
        if done == 300:
            break
    outcomes.close()
    assert hands.here == [] and hands.under_way_at_most <= 4


@pytest.mark.parametrize(
    ("script", "comes_to"),
    [
        ([Lost("it died")], "A"),
        ([Lost("it died"), Lost("it died")], "A"),
        ([Lost("it died")] * 3, "3 workers died at it (it died)"),
        ([Lost("node", with_node=True)] * 8, "A"),  # machines are taken back at any time
        ([Lost("node", with_node=True)] * 20, "20 machines went with it (node)"),
        ([Lost("node", with_node=True)] * 2 + [Lost("it died")] * 3, "3 workers died at it (it died)"),
        ([Raised("bad file", "input")], "bad file"),  # the worker lives on, the task is not tried again
    ],
)
def test_a_lost_worker_loses_only_its_task(script, comes_to) -> None:
    left: list[str] = []
    hands = ScriptHands(scripts={"a": list(script)})
    found = answers(run(hands, "abcd", tidy=left.append))
    assert found == {"a": comes_to, "b": "B", "c": "C", "d": "D"}
    assert left == (["a"] if "died at" in comes_to or "machines went" in comes_to else [])
    assert hands.given.count("b") == 1


def test_what_the_next_task_needs_too_ends_the_work() -> None:
    hands = ScriptHands(scripts={"b": [Raised("no space left", "resource")]})
    with pytest.raises(ResourceError, match="node0: no space left"):
        run(hands, "abc")
    assert hands.here == []


@pytest.mark.parametrize(("kind", "error"), [("input", InputError), ("resource", ResourceError)])
def test_a_worker_that_cannot_load_ends_the_work(kind, error) -> None:
    with pytest.raises(error, match="no weights"):
        run(ScriptHands(starts=[Raised("no weights", kind)]), "abc")


def test_workers_that_die_as_they_load() -> None:
    assert len(run(ScriptHands(starts=[Lost("it died")] * 4), "abc")) == 3
    with pytest.raises(ResourceError, match="no worker starts, 5 died"):
        run(ScriptHands(starts=[Lost("it died")] * 5), "abc")


def test_without_a_place_it_waits_and_says_so(monkeypatch) -> None:
    hands, clock, said = ScriptHands(), iter(range(0, 100_000, 20)), list[str]()
    monkeypatch.setattr(crew_module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(hands, "wait", lambda seconds: [])
    with pytest.raises(ResourceError, match="no free place"):
        run(hands, "ab", say=said.append)
    assert len(said) == 1


def test_a_caller_that_stops_dismisses_everybody_and_tidies() -> None:
    hands, left = ScriptHands(), list[str]()
    hands.scripts = {"c": [None]}  # never answers
    crew = Crew(hands, agree=lambda *_: None, say=lambda _: None, tidy=left.append)
    running = crew.run("abc")
    next(running), next(running)
    running.close()
    assert hands.here == [] and set(left) <= {"c"}


def begun(**made) -> Begun:
    return Begun({"short_edge": 32, "device": "cuda:0", "torch": "2.14"} | made, "tiny")


@pytest.mark.parametrize(
    ("made", "runs", "said"),
    [
        ({}, {}, None),
        ({"device": "cuda:3"}, {}, None),  # the number of a GPU
        ({"device": "cpu"}, {}, 'device is "cpu" on two'),
        ({"torch": "2.15"}, {}, 'torch is "2.15" on two'),
        ({}, {"av": "19.0"}, "av is 19.0 on two"),
        ({"short_edge": 64}, {}, InputError),
        ({"weights_sha256": "f00"}, {}, InputError),
        ({}, {"ovvis": "0.0.1"}, InputError),
    ],
)
def test_what_differs_between_machines(made, runs, said) -> None:
    agreement = Agreement()
    assert agreement.check(begun(), ScriptHand("one")) == []
    other = ScriptHand("two", versions() | runs)
    if said is InputError:
        with pytest.raises(InputError, match="two"):
            agreement.check(begun(**made), other)
        return
    lines = agreement.check(begun(**made), other)
    assert len(lines) == (said is not None) and all(said in line for line in lines)
    assert agreement.check(begun(**made), ScriptHand("three", versions() | runs)) == []  # once is enough
