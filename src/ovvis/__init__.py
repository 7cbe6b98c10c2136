"""Open-vocabulary video instance segmentation: a video and any words in, named and tracked masks out.

Example:
    >>> import ovvis
    >>> model = ovvis.load_model("clip-vis-r50")  # doctest: +SKIP
    >>> segmenter = ovvis.VideoSegmenter(model, ovvis.Vocabulary(["dog", "frisbee"]))  # doctest: +SKIP
    >>> with segmenter("dog.mp4") as result:  # doctest: +SKIP
    ...     for track in result.best_tracks():
    ...         print(track.id, track.label, track.score, len(track.frames))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovvis.cores import share_cores
from ovvis.version import __version__

share_cores()

if TYPE_CHECKING:
    from ovvis.comparing.compare import compare
    from ovvis.detections.track import track
    from ovvis.errors import InputError, OvvisError, ResourceError
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.load import load_model
    from ovvis.models.zoo import list_models
    from ovvis.outputs.export import export
    from ovvis.outputs.formats.tracks_json import load_tracks, save_tracks
    from ovvis.outputs.render import render
    from ovvis.outputs.style import Style
    from ovvis.results.loading import load_result
    from ovvis.sources.video import open_source
    from ovvis.structures import FrameResult, Instance, Track, VideoResult
    from ovvis.vocabulary import Vocabulary

__all__ = [
    "FrameResult",
    "InputError",
    "Instance",
    "OvvisError",
    "ResourceError",
    "Style",
    "Track",
    "VideoResult",
    "VideoSegmenter",
    "Vocabulary",
    "__version__",
    "compare",
    "export",
    "list_models",
    "load_model",
    "load_result",
    "load_tracks",
    "open_source",
    "render",
    "save_tracks",
    "track",
]

# Where each name comes from. It is imported at its first use: PyTorch takes seconds and 800 MB to import, and
# evaluation, reading datasets and `ovvis --help` need none of it.
_ROOMS = {
    "FrameResult": "structures",
    "InputError": "errors",
    "Instance": "structures",
    "OvvisError": "errors",
    "ResourceError": "errors",
    "Style": "outputs.style",
    "Track": "structures",
    "VideoResult": "structures",
    "VideoSegmenter": "inference.pipeline",
    "Vocabulary": "vocabulary",
    "compare": "comparing.compare",
    "export": "outputs.export",
    "list_models": "models.zoo",
    "load_model": "models.load",
    "load_result": "results.loading",
    "load_tracks": "outputs.formats.tracks_json",
    "open_source": "sources.video",
    "render": "outputs.render",
    "save_tracks": "outputs.formats.tracks_json",
    "track": "detections.track",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'ovvis' has no attribute {name!r}")
    value = getattr(import_module(f"ovvis.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
