"""What becomes of a command whose standard output fails."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ovvis.cli.streams import Stream

VERB = """
import sys
from ovvis.cli import console, entry, main

@main.app.command()
def work():
    console.out.print("first")
    console.warn("a note")
    console.out.print("second")
    print("third 日本 " + chr(0xdc80))
    with open("result", "w") as file:
        file.write("whole")

sys.argv = ["ovvis", "work"]
entry.run()
"""
TOLD = "ovvis: standard output took no more"


def run(folder, before="", **streams):
    command = f"{before} exec {sys.executable} -c '{VERB}' " + streams.pop("after", "")
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False, **streams)


def test_as_it_should_be(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "a note\n")
    assert done.stdout == "first\nsecond\nthird 日本 \\udc80\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize(
    ("after", "code", "told"),
    [(">/dev/full", 1, True), (">/dev/full 2>/dev/full", 1, False), (">&-", 0, False), (">&- 2>&- <&-", 0, False)],
)
def test_a_full_disk_or_a_closed_stream(after, code, told, tmp_path):
    done = run(tmp_path, after=after)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert (TOLD in done.stderr) == told
    assert (tmp_path / "result").read_text() == "whole"


def test_a_reader_who_has_gone(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-c", VERB]
    done = subprocess.run(program, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "a note\n")
    assert (tmp_path / "result").read_text() == "whole"


def test_a_terminal_without_these_letters(tmp_path):
    done = run(tmp_path, "PYTHONIOENCODING=ascii")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "third \\u65e5\\u672c \\udc80"


class _Failing(io.StringIO):
    def write(self, text):
        if self.tell() > 3:
            raise OSError(errno.ENOSPC, "full")
        return super().write(text)


def test_the_first_failure_is_kept_and_the_rest_dropped():
    inner = _Failing()
    stream = Stream(inner)
    assert [stream.write("abcd"), stream.write("ef"), stream.write("g")] == [4, 2, 1]
    stream.flush()
    assert inner.getvalue() == "abcd" and stream.failure.errno == errno.ENOSPC
    inner = io.StringIO()
    inner.close()
    stream = Stream(inner)
    assert stream.write("abc") == 3 and isinstance(stream.failure, ValueError)
