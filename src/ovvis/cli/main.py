"""The command `ovvis`: its verbs, and how errors leave it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ovvis.cli.console import complain, paste
from ovvis.cli.lazy import SETTINGS, Verbs
from ovvis.cli.process import Interrupted
from ovvis.cli.stopping import NOTHING, STOPPING
from ovvis.cli.streams import patient_streams
from ovvis.cores import share_cores
from ovvis.errors import DISK_FULL, OvvisError
from ovvis.version import __version__

BAD_INPUT = 2
UNSAID = 1  # exit code: all is done, but standard output took no more
INTERRUPTED = 130

# Typer has carried its own copy of Click since 0.26: take the class from there, whichever it is.
ClickError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

# Each verb is a function of its own name in the module `ovvis.cli.NAME`, or that module's `app` for a verb of several
# words. The line is what `ovvis --help` shows of it; the module is imported when the verb is called.
VERBS = {
    "demo": "Segment the packaged video with the packaged model: nothing is fetched.",
    "segment": "Find, follow and name everything in videos that the labels speak of.",
    "track": "Make tracks of what any detector found in a video's frames: masks or boxes, with names or without.",
    "live": "Follow a camera or a stream for as long as it runs: in a browser, as lines of JSON, as a painted video.",
    "view": "Look at a result in a browser: its video with masks, a timeline of its tracks; or write that as a page.",
    "compare": "Put results of one video side by side, and the truth if there is one; find where they differ most.",
    "export": "Take results away: PNG masks, COCO, YouTube-VIS, MOTS, CSV, YOLO, CVAT, cut-outs and more.",
    "import": "Read a corrected export back: as a dataset to score against and to train on, or as tracks.",
    "serve": "Serve a page: drop a video, type words, watch, take results away; one job after another.",
    "models": "List the models: size, training data, published AP, licences, where the weights come from.",
    "datasets": "List the datasets and where they lie; check one; make one from frames and masks.",
    "benchmark": "What models cost here: seconds a frame and memory by stage, size, words, length; and whether that "
    "has changed.",
    "doctor": "Examine this installation and machine: a table to paste where you ask for help.",
    "predict": "Run a model over a dataset: resumable, each video's results as it finishes, archives for the servers.",
    "evaluate": "Score results against a dataset's truth: AP and AR over space and time, by group and by category.",
    "train": "Train a model by a recipe. A run that was stopped, or killed, goes on when the command is given again.",
    "world": "The project's own world of illustrated objects: make its sprites, write its datasets.",
    "reproduce": "The papers' tables on real data, and their ablations on the project's own world.",
    "convert": "Convert a checkpoint into safetensors that carry their configuration, after loading it strictly.",
}

_VIDEO = ("segment", "track", "live", "view", "compare", "export", "import", "serve", "models", "demo", "doctor")
GROUPS = {
    "A video and words": {name: VERBS[name] for name in _VIDEO},
    "Datasets, training, research": {name: line for name, line in VERBS.items() if name not in _VIDEO},
}

app = typer.Typer(
    cls=Verbs.of(GROUPS),
    help="Open-vocabulary video instance segmentation: a video and any words in, named and tracked masks out.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"ovvis {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


def run() -> None:
    """Run the command and leave with its exit code; errors of the user or the machine are one line.

    0 done; 1 done, but standard output took no more; 2 bad input, or something that ran out; 3 used in part; 128 and
    the signal's number when it was stopped.
    """
    STOPPING.listen()
    share_cores()
    with patient_streams() as said:
        try:
            code = _verb()
        except KeyboardInterrupt:  # while the end of a verb was being told
            code = STOPPING.code
        STOPPING.over()
        said.flush()
        if said.failure is not None:
            code = code or UNSAID
            if not isinstance(said.failure, BrokenPipeError):
                reason = getattr(said.failure, "strerror", None) or said.failure
                complain(f"standard output took no more ({reason}); what was to be written to files is there")
    sys.exit(code)


def _verb() -> int:
    """Run what the arguments ask for and return the exit code; tell errors."""
    stopped = NOTHING
    try:
        code = app(standalone_mode=False, prog_name="ovvis")
    except Interrupted as error:
        code, stopped = INTERRUPTED, str(error)
    except OvvisError as error:
        complain(str(error))
        if error.report:
            paste(error.report)
        code = BAD_INPUT
    except ClickError as error:
        context = getattr(error, "ctx", None)  # of the verb whose arguments they are
        complain(f"{error.format_message()} (see {context.command_path if context else 'ovvis'} --help)")
        code = BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        complain(f"no space left on the disk ({error.filename or 'temporary folder'}); free some and run it again")
        code = BAD_INPUT
    if code == INTERRUPTED:
        # Typer may have turned Ctrl-C into this code by itself.
        complain(stopped)
        return STOPPING.code
    return code if isinstance(code, int) else 0
