"""Write the result that `ovvis doctor --test` compares a machine with: on a CPU in float32, when the model changes.

Usage: python tools/stored_result.py
"""

from __future__ import annotations

from dataclasses import replace

from ovvis.cli.demo import ABSENT, THERE
from ovvis.doctor.computing import STORED, STORED_SCORE, compute
from ovvis.files.output import whole_file
from ovvis.outputs.formats.tracks_json import load_tracks, save_tracks


def main() -> None:
    """Compute and write it, without paths and times of this machine."""
    words = [names.partition("|")[0] for names in sorted((*THERE, *ABSENT))]
    with compute("cpu", "float32", words) as result, whole_file(STORED) as partial:
        shown = result.best_tracks(STORED_SCORE)
        save_tracks(replace(result, tracks=shown, source="stickers.mp4", opened_as={}, seconds={}), partial)
    with load_tracks(STORED) as kept:
        print(f"{STORED}: {len(kept)} tracks, {STORED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
