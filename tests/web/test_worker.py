"""The process that runs the model, where the server ends at an awkward moment; its work is tested by the page."""

import multiprocessing
import threading
import time

import pytest

from ovvis.errors import ResourceError
from ovvis.web.jobs import Jobs
from ovvis.web.limits import Limits
from ovvis.web.worker import Worker


def test_a_server_that_ends_while_its_process_begins(tmp_path, monkeypatch):
    worker, begun = Worker(Jobs(tmp_path, Limits())), threading.Event()
    start = worker._context.Process.start

    def slowly(process):
        begun.set()
        time.sleep(0.3)
        start(process)

    monkeypatch.setattr(worker._context.Process, "start", slowly)
    worker.start()
    assert begun.wait(10)
    worker.close()
    worker._thread.join(10)
    assert not worker._thread.is_alive() and not multiprocessing.active_children()


def test_a_server_that_ends_before_its_process_began(tmp_path):
    worker = Worker(Jobs(tmp_path, Limits()))
    worker.close()
    worker.start()
    worker._thread.join(10)
    assert not worker._thread.is_alive() and not multiprocessing.active_children()


def test_a_system_that_gives_no_locks(tmp_path, monkeypatch):
    """As in a container whose /dev/shm cannot be written."""

    def refused(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Event", refused)
    with pytest.raises(ResourceError, match=r"no locks \(Read-only file system\); /dev/shm must be writable"):
        Worker(Jobs(tmp_path, Limits()))
