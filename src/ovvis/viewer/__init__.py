"""A result in the browser: the video with its masks, a timeline of its tracks, in one page that needs no network.

`write_viewer` makes a file, `notebook_html` what a notebook shows, `serve` a page from a small local server. Who has a
server of their own takes `Pieces`, `page_html` and `Media` (docs/viewer.md).
"""

from ovvis.viewer.file import Written, write_viewer
from ovvis.viewer.media import Media, choose_media
from ovvis.viewer.notebook import notebook_html
from ovvis.viewer.page import page_html
from ovvis.viewer.pieces import Pieces
from ovvis.viewer.serve import serve

__all__ = ["Media", "Pieces", "Written", "choose_media", "notebook_html", "page_html", "serve", "write_viewer"]
