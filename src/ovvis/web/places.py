"""The files of a job, by name: in its own folder, and nowhere else."""

from __future__ import annotations

TRACKS, SUMMARY, PAINTED = "tracks.json", "summary.json", "painted.mp4"
