"""The files of a job, by name: in its own folder, and nowhere else."""

from __future__ import annotations

SUMMARY = "summary.json"
VIEW = "view"  # a folder: the viewer's page, its masks in pieces, and what it plays
PAGE, MEDIA, COPY = "page.html", "media.json", "copy.mp4"
