import os
import signal
import subprocess
import sys
import threading

from ovvis.files.lock import clear_locks, hold, release_lock, take_lock

HOLD = """
import sys
from pathlib import Path
from ovvis.files.lock import take_lock
lock = take_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_at_a_time_and_suffixes_apart(tmp_path):
    first, other = take_lock(tmp_path), take_lock(tmp_path, ".2")
    assert first is not None and other is not None
    assert take_lock(tmp_path) is None
    release_lock(first)
    again = take_lock(tmp_path)
    assert again is not None
    release_lock(again)
    release_lock(other)
    assert list(tmp_path.iterdir()) == []


def test_who_waits_is_told_and_gets_it(tmp_path):
    order = []

    def wait():
        with hold(tmp_path, on_wait=lambda: order.append("waits")) as waited:
            order.append(waited)

    with hold(tmp_path) as waited:
        assert not waited
        thread = threading.Thread(target=wait)
        thread.start()
        while not order:
            thread.join(0.01)
        order.append("done")
    thread.join()
    assert order == ["waits", "done", True] and list(tmp_path.iterdir()) == []


def test_locks_of_the_dead_go_and_those_of_the_living_are_named(tmp_path):
    (tmp_path / ".lock.1-of-3").touch()
    own, other = take_lock(tmp_path, ".2-of-3"), take_lock(tmp_path, ".3-of-3")
    assert clear_locks(tmp_path, ".2-of-3") == [".3-of-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock.2-of-3", ".lock.3-of-3"]
    release_lock(own)
    release_lock(other)


def test_a_killed_process_holds_nothing(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert take_lock(tmp_path, patience=0.05) is None
        holder.kill()
        holder.wait()
    lock = take_lock(tmp_path)
    assert lock is not None
    release_lock(lock)


def test_children_of_a_killed_process_do_not_hold_its_lock(tmp_path):
    """As the processes that load data do, which notice after some seconds that they are alone."""
    code = (
        "import os, signal, sys, time; from pathlib import Path; from ovvis.files.lock import take_lock\n"
        "lock = take_lock(Path(sys.argv[1])); child = os.fork()\n"
        "if child == 0: time.sleep(30); os._exit(0)\n"
        "time.sleep(0.5); print(child, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.wait()
        try:
            lock = take_lock(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)
    assert lock is not None
    release_lock(lock)
