import threading

import pytest

from ovvis.web.jobs import Busy, Jobs, Request
from ovvis.web.limits import Limits, parse_duration, parse_size

WISH = Request("dog.mp4", "dog", "clip-vis-stickers")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def jobs(tmp_path, clock):
    return Jobs(tmp_path, Limits(keep=100, waiting=4, own_waiting=3, own_kept=2, silence=10), clock)


def queued(jobs, owner="ann"):
    job = jobs.add(owner, WISH)
    jobs.line_up(job)
    return job


def test_order_and_places(jobs):
    first, second, third = queued(jobs), queued(jobs, "bob"), queued(jobs)
    assert [jobs.place(job) for job in (first, second, third)] == [0, 1, 2]
    assert jobs.take() is first and first.state == "running"
    assert [jobs.place(job) for job in (first, second, third)] == [None, 1, 2]  # the running one is before them
    jobs.end(second, "cancelled")
    assert jobs.place(third) == 1
    jobs.end(first, "done")
    assert jobs.place(third) == 0 and jobs.take() is third


def test_everyone_sees_their_own_alone(jobs):
    ann, bob = queued(jobs, "ann"), queued(jobs, "bob")
    assert jobs.of("ann") == [ann] and jobs.of("eve") == []
    assert jobs.find(bob.id, "bob") is bob
    assert jobs.find(bob.id, "ann") is jobs.find("nothing", "ann") is None
    assert len({ann.id, bob.id}) == 2 and len(ann.id) >= 20


def test_room(jobs):
    for _ in range(3):
        queued(jobs)
    with pytest.raises(Busy, match="3 of your jobs have not ended"):
        jobs.add("ann", WISH)
    queued(jobs, "bob")
    with pytest.raises(Busy, match="4 jobs are waiting or running"):
        jobs.add("eve", WISH)
    for _ in range(2):
        jobs.end(jobs.take(), "done")
    with pytest.raises(Busy, match="2 of your results are kept"):
        jobs.add("ann", WISH)
    jobs.remove(jobs.of("ann")[-1])
    jobs.add("ann", WISH)


def test_what_is_kept_and_for_how_long(jobs, clock, tmp_path):
    done, failed, silent, waiting = queued(jobs), queued(jobs), jobs.add("bob", WISH), queued(jobs, "eve")
    for job in (done, failed, silent):
        job.upload.write_bytes(b"video")
    jobs.take(), jobs.end(done, "done")
    jobs.take(), jobs.end(failed, "failed", "no video")
    assert done.upload.is_file() and not failed.folder.exists()
    clock.now = 19
    assert jobs.sweep() == []
    clock.now = 20  # twice the silence that an upload may have
    assert jobs.sweep() == [silent] and silent.state == "cancelled" and not silent.folder.exists()
    clock.now = 99.9
    assert jobs.kept_for(done) == pytest.approx(0.1) and jobs.kept_for(waiting) is None
    assert jobs.sweep() == [] and done.upload.is_file()
    clock.now = 100
    assert jobs.sweep() == [done, failed]
    assert jobs.find(done.id, "ann") is None
    assert [path.name for path in tmp_path.iterdir()] == [waiting.id]


def test_a_job_ends_once(jobs):
    job = queued(jobs)
    jobs.end(job, "cancelled")
    jobs.end(job, "done")
    assert job.state == "cancelled" and not job.folder.exists()
    jobs.line_up(job)
    assert not jobs.anyone_waiting


def test_whoever_waits_for_a_job_is_let_go(jobs):
    found = []
    thread = threading.Thread(target=lambda: found.append(jobs.take()))
    thread.start()
    jobs.close()
    thread.join(5)
    assert found == [None]


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("500M", 500 * 2**20), ("2 GiB", 2**31), ("1.5k", 1536)])
def test_sizes(text, size):
    assert parse_size("--max-upload", text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30m", 1800), ("1.5h", 5400), ("2d", 172800)])
def test_durations(text, seconds):
    assert parse_duration("--keep", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1x", "nan", "inf", "1e9"])
def test_what_is_no_size_and_no_duration(text):
    for parse in (parse_size, parse_duration):
        with pytest.raises(ValueError, match="--what"):
            parse("--what", text)
