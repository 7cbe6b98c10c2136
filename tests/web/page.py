"""A page that is served in this process, with the small model, and who visits it without a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ovvis.outputs.render import VideoWriter
from ovvis.web.limits import Limits
from ovvis.web.server import Page, Settings, serving

MODEL = "clip-vis-stickers"
DEMO = Path(__file__).parents[2] / "src" / "ovvis" / "demo" / "stickers.mp4"


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Page]:
    """Serve a page in a thread."""
    settings = {"port": 0, "device": "cpu", "precision": "float32", "models": [MODEL], **settings}
    with serving(Settings(folder=folder, **settings)) as page:
        thread = threading.Thread(target=page.run)
        thread.start()
        try:
            yield page
        finally:
            page.stop()
            thread.join()


def small_video(path: Path, frames: int = 6, size: tuple[int, int] = (64, 96)) -> Path:
    """Write a video of noise."""
    rng = np.random.default_rng(0)
    with VideoWriter(path, 10.0, size) as video:
        for _ in range(frames):
            video.write(rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    return path


def limits(**changes: Any) -> Limits:
    return Limits(**{"upload": 2**20, "seconds": 10.0, "keep": 600.0, "camera": 3.0, **changes})


Visit = Callable[..., Any]


@pytest.fixture(scope="session")
def demo_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged video's first frames: what the small model knows, in seconds."""
    from ovvis.sources.video import open_source

    path = tmp_path_factory.mktemp("demo") / "stickers.mp4"
    source = open_source(DEMO, max_frames=12)
    with VideoWriter(path, source.info.fps, (source.info.height, source.info.width)) as video:
        for frame in source:
            video.write(frame.image)
    return path
