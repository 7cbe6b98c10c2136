"""`python -m ovvis` is `ovvis`."""

from ovvis.cli.main import run

run()
