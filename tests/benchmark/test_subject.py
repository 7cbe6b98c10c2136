"""What a row runs, on a tiny network: the parts of a sample, never its seconds."""

import io

import msgspec
import pytest

from benchmark_made_up import row
from fakes import build_tiny
from ovvis.benchmark import subject, worker
from ovvis.benchmark.plan import YARDSTICK
from ovvis.errors import InputError


def tiny(row):
    return build_tiny()


def test_a_video():
    made = subject.VideoSubject(row(), tiny)
    made.warm_up()
    sample = made.sample()
    names = ["backbone", "pixel decoder", "query decoder", "other network"]
    assert [name for name in sample.stages if name in names] == names
    assert {"read", "names", "tracking", "tubes", "masks"} <= set(sample.stages)
    assert sum(sample.stages.values()) <= sample.seconds * 1.001
    assert all(sample.stages[name] > 0 for name in names[:3])
    assert sample.peak_mib > 0 and sample.gpu_mib is None


def test_words_are_unit_vectors_the_same_every_time():
    model = build_tiny()
    one, two = (subject.random_words(7, model).vectors for _ in range(2))
    assert one.shape == (7, model.clip.width) and (one == two).all()
    assert one.norm(dim=-1).allclose(one.new_ones(7))


def test_new_words_are_many_and_different():
    words = subject.new_words(3000)
    assert len(set(words)) == 3000 and words[0] == words[1196].removesuffix(" 1196")


def test_frames_are_of_their_size_and_move():
    frames = list(subject.moving_frames(3, 40, 60))
    assert [frame.shape for frame in frames] == [(40, 60, 3)] * 3
    assert (frames[0] != frames[1]).any()


def test_texts_and_the_yardstick():
    for made in (subject.subject(row(task="text", words=3), tiny), subject.subject(YARDSTICK)):
        made.warm_up()
        assert made.sample().seconds > 0


def test_a_way_that_only_a_program_knows():
    with pytest.raises(InputError, match="way 'odd'"):
        subject.build(row(way="odd"))


def answers(task, runs, build=tiny):
    asked = io.BytesIO(msgspec.json.encode(task) + b"\n" + b"run\n" * runs)
    said = io.BytesIO()
    worker.work(asked, said, build)
    return [msgspec.json.decode(line, type=worker.Answer) for line in said.getvalue().splitlines()]


def test_a_worker_answers_each_line():
    ready, one, two = answers(worker.Task(row=row()), 2)
    assert ready.loaded_mib > 0 and ready.sample is None
    assert one.sample.seconds > 0 and two.sample.seconds > 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("device cuda: none"), "device cuda: none"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("CUDA out of memory.\nTried much"), "CUDA out of memory."),
    ],
)
def test_a_worker_says_why_it_cannot(error, told):
    def build(row):
        raise error

    assert [answer.problem for answer in answers(worker.Task(row=row()), 1, build)] == [told]
