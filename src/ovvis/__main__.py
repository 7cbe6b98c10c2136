"""`python -m ovvis` is `ovvis`."""

from ovvis.cli.entry import run

run()
