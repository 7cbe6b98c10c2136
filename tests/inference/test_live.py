import threading
import time

import numpy as np
import psutil
import pytest
import torch

from fakes import FakeModel, fake_prediction
from ovvis.errors import InputError
from ovvis.inference.live import Live
from ovvis.inference.live_meter import LiveMeter
from ovvis.inference.live_tubes import LiveSettings
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.settings import VideoSettings
from ovvis.sources.newest import NewestFrames
from ovvis.sources.source import Source
from ovvis.structures import Frame, LiveFrame, SourceInfo

ADJACENT = VideoSettings(memory=1, matched=1)
NAMED = VideoSettings(memory=2, matched=1, birth=0.3, names=0.3)
Q, K, FPS = 4, 3, 10
TURN = 200  # frames in which the objects below come and go once


def moment(i):
    """What a network sees in frame i of a turn, queries in the order of four objects."""
    visible = [
        True,  # is always there
        20 <= i < 60,  # comes for 4 seconds, and is away for 16
        not 100 <= i < 105,  # half a second behind something
        True,  # one thing until frame 120, another from then on, without a gap
    ]
    masks = torch.full((Q, 8, 16), -4.0)
    for q in range(Q):
        masks[q, 2 * q : 2 * q + 2] = 4.0
    logits = torch.eye(Q, K) * 9
    objects = torch.tensor([[4.0, -4.0] if there else [-4.0, 4.0] for there in visible])
    looks = torch.zeros(Q, 8)
    looks[:, :Q] = torch.eye(Q)
    if i >= 120:
        looks[3] = torch.tensor([0.0, 0, 0, 0, 1, 0, 0, 0])
    if not visible[1]:
        looks[1] = torch.tensor([0.0, 0, 0, 0, 0, 1, 0, 0])
    return fake_prediction(masks, logits, objects, embeddings=looks)


WORLD = [moment(i) for i in range(TURN)]


def camera(frames):
    """Frames whose pixels say which of the world's moments they show; made as they are asked for."""
    return (np.full((32, 64, 3), i % TURN, np.uint8) for i in range(frames))


class Paced(Source):
    """Frames with times that a test chooses."""

    rereadable = False

    def __init__(self, times, wait=None, error=None):
        self.info = SourceInfo("camera", 32, 64, FPS, None)
        self._times, self._wait, self._error = times, wait, error

    def __iter__(self):
        for i, at in enumerate(self._times):
            if self._wait is not None:
                self._wait(i)
            yield Frame(np.full((32, 64, 3), i % TURN, np.uint8), i, at)
        if self._error is not None:
            raise self._error


def segmenter(settings=ADJACENT, labels=("dog", "cat", "zebra"), model=None):
    return VideoSegmenter(model or FakeModel(WORLD, settings), list(labels), short_edge=0, cache=False)


def timed(frames):
    return Paced([i / FPS for i in range(frames)])


def ids(live):
    """Return for each frame the ids by the row of the mask, which says the object."""
    return [{round(one.box[1] / 8): one.id for one in seen.instances} for seen in live]


@pytest.mark.parametrize("settings", [ADJACENT, NAMED, VideoSettings(momentum=0.7)], ids=["adjacent", "births", "mean"])
def test_an_id_is_one_objects_and_is_never_given_twice(settings):
    seen = ids(Live(segmenter(settings), timed(2 * TURN), keep_up=False, settings=LiveSettings(forget=5)))
    assert len(seen) == 2 * TURN
    assert {found[0] for found in seen} == {1}
    visits = [{found[1] for found in seen[turn * TURN : (turn + 1) * TURN] if 1 in found} for turn in range(2)]
    assert all(len(visit) == 1 for visit in visits) and len(set.union(*visits)) == 2
    assert all(1 not in found for found in seen[60:220])
    assert len({found[2] for found in seen if 2 in found}) == 1 and 2 not in seen[102]
    first, second = {found[3] for found in seen[:120]}, {found[3] for found in seen[120:200]}
    assert len(first) == len(second) == 1 and not first & second
    everyone = [{number for found in seen for number in [found.get(row)] if number} for row in range(Q)]
    assert sum(map(len, everyone)) == len(set.union(*everyone))


def test_a_short_absence_keeps_the_id():
    seen = ids(Live(segmenter(), timed(2 * TURN), keep_up=False, settings=LiveSettings(forget=30, other=2)))
    assert len({found[1] for found in seen if 1 in found}) == 1


@pytest.mark.parametrize("frames", [pytest.param(600, id="short"), pytest.param(20_000, marks=pytest.mark.slow)])
def test_memory_is_flat_while_objects_come_and_go(frames):
    live = Live(segmenter(NAMED), timed(frames), keep_up=False, settings=LiveSettings(forget=5))
    held, newest, process = [], 0, psutil.Process()
    for number, seen in enumerate(live):
        live.meter.picture(seen)
        newest = max([newest, *(one.id for one in seen.instances)])
        if number in (frames // 4, frames - 1):
            held.append(process.memory_info().rss)
    assert live.meter.frames == frames and live.meter.left_out == 0
    # A turn: one visit, and two changes of what is in the last place; two objects stay for ever.
    assert newest == live.meter.ids == 2 + 3 * frames // TURN
    assert held[1] - held[0] < 8 * 2**20  # 15,000 frames lie between: 560 bytes of each would show


def test_labels_change_while_it_runs_and_tubes_keep_their_ids():
    for settings in (ADJACENT, NAMED):
        model = FakeModel(WORLD, settings)
        live = Live(segmenter(settings, model=model), timed(40), keep_up=False)
        names = []
        for seen in live:
            names.append({one.id: one.label for one in seen.instances})
            if seen.frame.index == 9:
                assert live.change_labels("horse, cow|ox, pig").names == ("horse", "cow", "pig")
        assert set(names[9].values()) <= {"dog", "cat", "zebra"} and seen.labels == ("horse", "cow", "pig")
        before = {1: "dog", 2: "zebra", 3: "dog"} if 3 in names[9] else names[9]
        renamed = {"dog": "horse", "cat": "cow", "zebra": "pig"}
        assert names[9] == before and names[10] == {number: renamed[name] for number, name in before.items()}


def test_other_numbers_of_labels_may_follow():
    class Pairs(FakeModel):
        def classifier(self, prediction, text):
            return prediction.features[:, 0, :, 0][..., : len(text.labels)]

    Pairs.classifier.one_frame = False
    live = Live(segmenter(NAMED, model=Pairs(WORLD, NAMED)), timed(20), keep_up=False)
    seen = []
    for found in live:
        seen.append({one.id for one in found.instances})
        if found.frame.index == 5:
            live.change_labels(["one", "two"])
    assert seen[5] == seen[6] == seen[19]


@pytest.mark.parametrize(("labels", "said"), [("", "label"), ("dog, dog", "dog")])
def test_wrong_labels_leave_the_old_ones(labels, said):
    live = Live(segmenter(), timed(3), keep_up=False)
    with pytest.raises(InputError, match=said):
        live.change_labels(labels)
    assert [seen.labels for seen in live] == [("dog", "cat", "zebra")] * 3


def test_labels_whose_embeddings_were_given_stay():
    given = segmenter().text
    fixed = VideoSegmenter(FakeModel(WORLD), ["dog", "cat", "zebra"], short_edge=0, text_embeddings=given)
    with pytest.raises(InputError, match="were given"):
        Live(fixed, timed(3)).change_labels("horse")


def test_the_newest_frame_is_taken_and_the_others_are_counted():
    turn = threading.Event()

    def wait(i):
        if i == 5:
            assert turn.wait(10)

    newest = NewestFrames(Paced([i / FPS for i in range(6)], wait))
    frames = iter(newest)
    while newest._came < 5:
        time.sleep(0.001)
    assert next(frames).index == 4 and newest.arrival[1] == 4
    turn.set()
    assert next(frames).index == 5 and newest.arrival[1] == 0
    assert next(frames, None) is None and newest.left_out == 4 and newest.problem is None


def test_a_source_that_waits_leaves_nothing_out():
    newest = NewestFrames(timed(50), keep_up=False)
    assert [frame.index for frame in newest] == list(range(50)) and newest.left_out == 0


def test_a_file_is_played_at_its_own_pace():
    begun = time.monotonic()
    assert len(list(NewestFrames(timed(4), paced=True))) > 1
    assert time.monotonic() - begun >= 0.3


def test_a_source_that_breaks_off_is_used_as_far_as_it_goes():
    live = Live(segmenter(), Paced([0.0, 0.1], error=InputError("the cable was pulled")), keep_up=False)
    assert len(list(live)) == 2 and live.problem == "the cable was pulled"


@pytest.mark.parametrize("error", [InputError("no camera 0"), ZeroDivisionError("a fault")])
def test_a_source_that_gives_nothing_is_an_error(error):
    with pytest.raises(type(error), match=str(error)):
        list(Live(segmenter(), Paced([], error=error)))


def test_a_source_that_falls_silent_ends_the_stream():
    never = threading.Event()
    silent = Paced([0.0, 0.1, 0.2], lambda i: i < 2 or never.wait(20))
    live = Live(segmenter(), silent, patience=0.3, keep_up=False)
    assert len(list(live)) == 2
    assert live.problem == "camera gave no frame for 0.3 s and was left"
    with pytest.raises(InputError, match="gave no frame"):
        list(NewestFrames(Paced([0.0], lambda i: never.wait(20)), patience=0.2))
    never.set()


def test_a_clock_that_begins_anew_does_not_stop_time():
    jumping = Paced([5.0, 5.1, 0.0, 0.1, 0.2])
    assert [round(seen.time, 3) for seen in Live(segmenter(), jumping, keep_up=False)] == [0, 0.1, 0.1, 0.2, 0.3]


def test_it_stops_from_another_thread_and_when_it_is_left():
    live = Live(segmenter(), camera(10**9), keep_up=False)
    for number, _ in enumerate(live):
        if number == 3:
            threading.Thread(target=live.stop).start()
    assert not live.source._thread.is_alive()
    live = Live(segmenter(), camera(10**9))
    frames = iter(live)
    next(frames)
    frames.close()
    assert not live.source._thread.is_alive()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"forget": 0}, "forget 0"), ({"seen": 1.5}, "seen 1.5"), ({"other": 0}, "other 0"), ({"horizon": 0}, "horizon")],
)
def test_settings_out_of_range(change, said):
    with pytest.raises(InputError, match=said):
        LiveSettings(**change)


def test_the_meter_tells_shares_of_the_latest_and_of_all():
    meter = LiveMeter()
    blank = np.zeros((2, 2, 3), np.uint8)
    for i in range(100):
        ago = 2.0 if i < 10 else 0.1
        meter.picture(LiveFrame(Frame(blank, i, 0.0), (), ("dog",), time.monotonic() - ago, 2, 0.0))
    assert (meter.frames, meter.left_out) == (100, 200)
    assert meter.latency(0.5) == pytest.approx(0.1, abs=0.02) and meter.latency(0.95) == pytest.approx(2, abs=0.1)
    assert meter.latency_of_all(0.5) == pytest.approx(0.1, rel=0.1)
    assert meter.latency_of_all(0.95) == pytest.approx(2, rel=0.05)
    assert LiveMeter().latency(0.5) == LiveMeter().latency_of_all(0.5) == LiveMeter().fps == 0
