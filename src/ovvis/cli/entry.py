"""Where the command begins: signals are taken before anything large is imported."""

from ovvis.cli.stopping import STOPPING


def run() -> None:
    """Run the command."""
    STOPPING.listen()
    with STOPPING.reading():
        from ovvis.cli.main import run as run_verbs
    run_verbs()
