"""The table of verbs: what the help says of each is what the verb says of itself."""

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest
from typer.testing import CliRunner

from ovvis.cli.following import FollowingOptions
from ovvis.cli.lazy import load
from ovvis.cli.main import VERBS, app, run
from ovvis.cli.predict import predict
from ovvis.cli.segment import segment
from ovvis.cli.segmenter import SegmenterOptions
from ovvis.cli.track import track
from ovvis.errors import InputError
from ovvis.models.settings import Following


@pytest.mark.parametrize("name", VERBS)
def test_line_of_help(name):
    command = load(name)
    assert command.help.partition("\n")[0] == VERBS[name]
    shown = CliRunner().invoke(app, [name, "-h"])
    assert shown.exit_code == 0 and f"{name} [OPTIONS]" in shown.output


def test_help_lists_the_verbs():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in VERBS)


def test_a_misspelt_verb_is_guessed():
    assert "segment" in CliRunner().invoke(app, ["segmnt"]).output


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("seg", {"segment"}),
        ("segment --pre", {"--precision"}),
        ("datasets check --no", {"--no-frames"}),
        ("segment dog.mp4 --model clip-vis-r", {"clip-vis-r50", "clip-vis-r50-ytvis19"}),
        ("segment dog.mp4 --labels lv", {"lvvis", "lvis_v1"}),
        ("segment dog.mp4 --style o", {"outlines"}),
        ("segment dog.mp4 --transport t", {"tcp"}),
        ("segment dog.mp4 --tracker so", {"sort"}),
        ("track dets.json --propagator c", {"colours"}),
        ("predict lvvis_v", {"lvvis_val"}),
        ("predict lvvis_val --precision b", {"bfloat16"}),
    ],
)
def test_a_shell_completes_verbs_options_and_values(words, wanted):
    environment = {
        "_OVVIS_COMPLETE": "complete_bash",
        "COMP_WORDS": f"ovvis {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    shown = CliRunner().invoke(app, [], prog_name="ovvis", env=environment)
    assert set(shown.output.split()) == wanted


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("segment a.mp4 --frobnicate", "--frobnicate (see ovvis segment --help)"),
        ("datasets check", "'dataset'. (see ovvis datasets check --help)"),
        ("segmnt", "(see ovvis --help)"),
    ],
)
def test_an_error_names_the_help_of_its_verb(words, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ovvis", *words.split()])
    with pytest.raises(SystemExit) as leave:
        run()
    assert leave.value.code == 2 and named in capsys.readouterr().err


LIGHT = """
import os, sys
from ovvis.cli.main import run
for line in sys.stdin:  # each in a fork of its own, so that Python starts once
    if os.fork() == 0:
        sys.argv = ["ovvis", *line.split()]
        sys.stdout = open(os.devnull, "w")
        try:
            run()
        except SystemExit as leave:
            os.write(1, f"{leave.code} {'torch' in sys.modules} {line}".encode())
        os._exit(0)
    os.wait()
"""


def test_help_and_wrong_arguments_need_no_pytorch(tmp_path):
    """It takes seconds to import: nobody waits for it to be told of a typing error."""
    cases = {f"{name} --help": 0 for name in VERBS} | {
        "reproduce nothing": 2,
        "reproduce stickers --shard 3/2": 2,
        "train": 2,
        "train x --steps many": 2,
        "models": 0,
        "datasets": 0,
        "segment": 2,
        "segment nowhere.mp4 --labels dog": 2,
        "segment nowhere.mp4 --labels dog --model clip-vis-r5": 2,
        "segment nowhere.mp4 --labels dog --batch many": 2,
        "segment nowhere.mp4 --labels dog --paint-above 2": 2,
        "live": 2,
        "live nowhere.mp4 --labels dog --no-view": 2,
        "live nowhere.mp4 --labels dog --no-view --lines -": 2,
        "predict nowhere.json --output out": 2,
        "predict lvvis_val --output out --model none": 2,
        "evaluate nowhere.json results.json": 2,
        "compare one": 2,
        "compare nowhere.json also.json": 2,
        "reproduce figures --figures none": 2,
        "demo --output": 2,
        "doctor --jsno": 2,
        "serve --keep never": 2,
        "serve --token short": 2,
        "benchmark clip-vis-r5": 2,
        "benchmark --size 480": 2,
        "benchmark --read nowhere.json": 2,
    }
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], input="\n".join(cases), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == [f"{code} False {words}" for words, code in cases.items()]


def test_verbs_that_run_a_model_share_its_options():
    """A record holds them: whatever is added to it, the verbs have, and none has one of its own by that name."""
    options = [field.name for field in fields(SegmenterOptions) if field.name != "following"]
    following = [field.name for field in fields(FollowingOptions)]
    for verb, records in ((segment, (options, following)), (predict, (options, following)), (track, (following,))):
        parameters = list(inspect.signature(verb).parameters)
        for shared in records:
            assert [name for name in parameters if name in shared] == shared
        assert "options" not in parameters and "following" not in parameters


@pytest.mark.parametrize(
    ("tracker", "given", "wanted"),
    [
        ("sort", {}, Following()),
        ("sort", {"patience": 1, "min_frames": 3, "overlap": 0.5}, Following(0.5, 1, min_frames=3)),
        ("propagate", {"propagator": "sam2-tiny", "start_score": 0.2}, Following(start=0.2, propagator="sam2-tiny")),
        (None, {}, Following()),
        # what nobody would use is refused
        (None, {"patience": 1}, "--patience 1: the model's own tracker has no use for it; leave it out, or give"),
        ("adjacent", {"overlap": 0.0}, "--overlap 0.0: --tracker adjacent has no use"),
        ("sort", {"propagator": "colours"}, "--propagator colours: --tracker sort has no use"),
    ],
)
def test_options_of_trackers_of_detections(tracker, given, wanted):
    options = FollowingOptions(**given)
    if isinstance(wanted, Following):
        assert options.find(tracker) == wanted
    else:
        with pytest.raises(InputError) as caught:
            options.find(tracker)
        assert str(caught.value).startswith(wanted)
    assert FollowingOptions(min_frames=2).find("adjacent", any_may_be_short=True).min_frames == 2
