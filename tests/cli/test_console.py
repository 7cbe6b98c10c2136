import io
import re

import pytest
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ovvis.cli import console
from ovvis.plain import visible


def test_long_work_without_a_terminal_says_a_line_now_and_then(monkeypatch, capsys):
    with console.progress("predicting", "frames", 50) as done:
        done(10)
        assert capsys.readouterr().err.strip() == ""  # not at once
        monkeypatch.setattr(console, "SILENCE", 0.0)
        done(20)
        done(30, 60, "predicting video 2 of 3")
    lines = capsys.readouterr().err.splitlines()
    assert all(line.strip() for line in lines)  # no empty line where a bar would have been
    assert lines[0].startswith("predicting: 20 of 50 frames, ") and "frames/s" in lines[0]
    assert lines[0].endswith(" left") and ":00 so far, " in lines[0]
    assert lines[1].startswith("predicting video 2 of 3: 30 of 60 frames")


ESCAPES = "dog\x1b[31m\x1b]0;owned \u202egod\x9b2J\r \udcff[bold]"
SHOWN = r"dog\x1b[31m\x1b]0;owned \u202egod\x9b2J"


def printed(how, monkeypatch):
    """Return what reaches a terminal of 200 columns."""
    screen = io.StringIO()
    for console_ in (console.out, console.notes):
        monkeypatch.setattr(console_, "_file", screen)
        monkeypatch.setattr(console_, "_width", 200)
        monkeypatch.setattr(console_, "_force_terminal", True)
        monkeypatch.setattr(console_, "is_interactive", True)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    how()
    return screen.getvalue()


def table():
    out = Table(title=Text(ESCAPES))
    out.add_column(escape(ESCAPES))
    out.add_row(escape(ESCAPES))
    console.out.print(out)


def bar():
    with console.progress(ESCAPES, "frames", 3) as done:
        done(1, None, ESCAPES)
        done(2)


@pytest.mark.parametrize(
    ("how", "times"),
    [
        (lambda: console.complain(ESCAPES), 1),
        (lambda: console.warn(ESCAPES), 1),
        (lambda: console.note(ESCAPES), 1),
        (lambda: console.out.print(escape(ESCAPES), soft_wrap=True), 1),
        (lambda: console.out.print(f"[bold]{escape(ESCAPES)}[/bold]"), 1),
        (lambda: console.out.print(Text(ESCAPES)), 1),
        (table, 3),
        (bar, 1),
    ],
)
def test_names_cannot_command_the_terminal(how, times, monkeypatch):
    text = printed(how, monkeypatch)
    assert text.count(SHOWN) >= times
    colours = r"\x1b\[[0-9;?]*[A-Za-z]"  # rich's own, which move and paint and no more
    rest = re.sub(colours, "", text)
    assert visible(rest).replace("\\r", "\r") == rest.replace("\\r", "\r"), rest
    assert "\x1b[31m" not in text and "\x1b]" not in text and "\x9b" not in text


def test_a_bar_takes_names_as_they_are(monkeypatch):
    assert "[/x] clip" in printed(lambda: _one_step("[/x] clip"), monkeypatch)


def _one_step(name):
    with console.progress("predicting", "frames", 3) as done:
        done(1, None, name)
