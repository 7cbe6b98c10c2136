"""The command and the signals that end it, each run in a process of its own."""

import signal
import subprocess
import sys

import pytest

from ovvis.files.signals import ENDING, uninterrupted

VERB = """
import os, signal, sys, time
from ovvis.cli import entry, main

@main.app.command()
def work(number: int):
    {work}

sys.argv = ["ovvis", "work", sys.argv[1]]
entry.run()
"""
ONE = "signal.raise_signal(number)"
# Further ones while what was begun is cleared up, as of an impatient person, or of a terminal that goes.
MORE = """
    try:
        signal.raise_signal(number)
    finally:
        for other in (number, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(other)
        print("cleared", flush=True)
"""
# Python cannot raise anything out of a destructor.
DESTRUCTOR = """
    class Thing:
        def __del__(self):
            signal.raise_signal(number)
    Thing()
    time.sleep(30)
"""
TWICE = """
    main.STOPPING.note(0)
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        pass  # as a library may do
    main.STOPPING._raised -= 10
    signal.raise_signal(number)
"""


def run(work, number, code=VERB):
    program = code.format(work=work.strip())
    return subprocess.run(
        [sys.executable, "-c", program, str(int(number))], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize(
    ("work", "printed"), [(ONE, ""), (MORE, "cleared\n"), (DESTRUCTOR, ""), (TWICE, "")], ids="omdt"
)
def test_a_signal_is_one_line_and_128_and_its_number(work, printed, number):
    done = run(work, number)
    assert (done.returncode, done.stdout) == (128 + number, printed), done.stderr
    assert done.stderr == "ovvis: stopped; nothing was written\n"


def test_a_signal_while_modules_are_imported():
    code = """
import signal, sys

class Finder:
    def find_spec(self, name, *rest):
        if name == "{work}":
            signal.raise_signal(int(sys.argv[1]))

sys.meta_path.insert(0, Finder())
from ovvis.cli import entry
number, sys.argv[1:] = sys.argv[1], ["datasets"]
sys.argv[1:] = [number]
entry.STOPPING.listen()
with entry.STOPPING.reading():
    import {work}
"""
    done = run("typer", signal.SIGINT, code)
    assert (done.returncode, done.stderr) == (130, "ovvis: stopped; nothing was written\n")


def test_a_signal_while_python_ends_changes_nothing():
    work = """
    class Last:
        def __del__(self):
            os.kill(os.getpid(), number)
    sys.last = [Last()]  # goes with the interpreter's own modules
    print("done")
"""
    done = run(work, signal.SIGTERM)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_what_is_ignored_stays_ignored():
    """As after nohup, or in a script's background."""
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + VERB
    done = run("signal.raise_signal(number); print('done')", signal.SIGHUP, code)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_other_processes_of_the_run_leave_signals_to_it():
    work = """
    if os.fork() == 0:
        signal.raise_signal(signal.SIGINT)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(work, 0).stdout == "7\n"


def test_a_moment_that_is_not_cut_in_two():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("whole")
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
