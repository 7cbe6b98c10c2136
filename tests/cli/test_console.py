from ovvis.cli import console


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
