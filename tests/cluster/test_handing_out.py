"""Handing tasks out, without a cluster: workers that answer, die or raise as a script says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ovvis.cluster import crew as crew_module
from ovvis.cluster.crew import Crew
from ovvis.cluster.facts import Agreement, versions
from ovvis.cluster.work import Begun, Lost, Outcome, Part, Raised, Spread, Spreadable, WholeOnly
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


def parts(task: str, *names: str) -> Spread:
    return Spread(names, f"{task} followed")


class Sharing(ScriptHands):
    """Workers that note what they may cut up."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.asked: list[str] = []

    def give(self, hand: ScriptHand, task: Any) -> None:
        if isinstance(task, Spreadable):
            self.asked.append(task.task)
            super().give(hand, task.task)
        else:
            if self.scripts.get(task) and isinstance(self.scripts[task][0], Spread):
                self.scripts[task].pop(0)  # not asked to cut it up
            super().give(hand, task)


def sharing(scripts: dict[str, list[object]], room: int = 3) -> Sharing:
    scripts = {"a1": [Part(10)], "a2": [Part(10)], "a3": [Part(5)]} | scripts
    return Sharing(room=room, scripts=scripts)


def test_what_waits_for_its_parts_is_done_when_they_are() -> None:
    hands = sharing({"a": [parts("a", "a1", "a2", "a3")], "a followed": ["A"]})
    assert answers(run(hands, "a", spread=True)) == {"a": "A"}
    assert sorted(hands.given[1:4]) == ["a1", "a2", "a3"] and hands.given[4:] == ["a followed"]
    assert len(hands.hired) == 3  # nobody stood idle


def test_parts_that_were_there_already() -> None:
    hands = sharing({"a": [parts("a")], "a followed": ["A"]})
    assert answers(run(hands, "a", spread=True)) == {"a": "A"} and hands.given == ["a", "a followed"]


@pytest.mark.parametrize(
    ("tasks", "room", "asked"),
    [("a", 1, []), ("a", 2, ["a"]), ("abcdef", 3, ["d", "e", "f"]), ("ab", 3, ["a", "b"])],
)
def test_only_what_would_leave_others_idle_may_be_cut_up(tasks, room, asked) -> None:
    hands = Sharing(room=room)
    run(hands, tasks, spread=True)
    assert hands.asked == asked
    hands = Sharing(room=room)
    run(hands, tasks)
    assert hands.asked == []


def test_frames_of_parts_count_until_their_task_is_done() -> None:
    hands, seen = sharing({"a": [parts("a", "a1", "a2")], "a followed": ["A"]}), list[int]()
    crew = Crew(hands, agree=lambda *_: None, say=print, spread=True)
    crew.tick = lambda: seen.append(crew.in_parts)
    list(crew.run("a"))
    assert [n for n, before in zip(seen, [-1, *seen], strict=False) if n != before] == [0, 10, 20, 0]


@pytest.mark.parametrize("where", ["a", "a2", "a followed"])
def test_a_worker_that_dies_at_a_part_loses_that_part(where) -> None:
    scripts = {"a": [parts("a", "a1", "a2", "a3")], "a followed": ["A"]}
    scripts[where] = [Lost("it died"), Lost("it died"), *sharing(scripts).scripts[where]]
    hands = sharing(scripts)
    assert answers(run(hands, "ab", spread=True)) == {"a": "A", "b": "B"}
    assert all(hands.given.count(name) == (3 if name == where else 1) for name in ["a", "a1", "a2", "a3", "a followed"])


@pytest.mark.parametrize(
    ("where", "answer", "problem"),
    [
        ("a1", [Lost("it died")] * 3, "3 workers died at it (it died)"),
        ("a followed", [Lost("it died")] * 3, "3 workers died at it (it died)"),
        ("a2", [Raised("KeyError: 'a'", "KeyError")], "KeyError: 'a'"),
        ("a followed", [Raised("KeyError: 'a'", "KeyError")], "KeyError: 'a'"),
    ],
)
def test_a_part_that_cannot_be_done_is_its_tasks_end(where, answer, problem) -> None:
    hands = sharing({"a": [parts("a", "a1", "a2", "a3")], "a followed": ["A"], where: answer}, room=2)
    crew = Crew(hands, agree=lambda *_: None, say=print, spread=True)
    assert answers(list(crew.run("ab"))) == {"a": problem, "b": "B"} and crew.in_parts == 0
    assert where == "a followed" or "a followed" not in hands.given


@pytest.mark.parametrize("where", ["a", "a1", "a followed"])
def test_what_cannot_be_cut_up_is_done_as_a_whole_and_said_once(where) -> None:
    scripts = {"a": [parts("a", "a1", "a2"), "A"], "a followed": ["no"], where: [WholeOnly("it changed"), "A"]}
    hands, said = sharing(scripts | {"c": [WholeOnly("it changed"), "C"]}, room=4), list[str]()
    assert answers(run(hands, "acb", spread=True, say=said.append)) == {"a": "A", "b": "B", "c": "C"}
    assert said == ["it changed"]


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
