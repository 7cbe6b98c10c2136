"""Where the command begins: signals are taken before anything large is imported."""

import sys

from ovvis.cli.stopping import STOPPING


def run() -> None:
    """Run the command."""
    STOPPING.listen()
    try:
        with STOPPING.reading():
            from ovvis.cli.main import run as run_verbs
    except ImportError as error:
        sys.exit(_without_libraries(error))
    run_verbs()


def _without_libraries(error: ImportError) -> int:
    """Return the exit code where what the command line itself needs cannot be imported."""
    if sys.argv[1:2] == ["doctor"]:
        from ovvis.doctor.report import main

        return main(sys.argv[2:])
    print(f"ovvis: this installation is broken ({error}); `ovvis doctor` says what is missing", file=sys.stderr)
    return 2
