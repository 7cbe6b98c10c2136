"""Open-vocabulary video instance segmentation: a video and any words in, named and tracked masks out.

Example:
    >>> import ovvis
    >>> model = ovvis.load_model("clip-vis-r50")  # doctest: +SKIP
    >>> segmenter = ovvis.VideoSegmenter(model, ovvis.Vocabulary(["dog", "frisbee"]))  # doctest: +SKIP
    >>> with segmenter("dog.mp4") as result:  # doctest: +SKIP
    ...     for track in result.best_tracks():
    ...         print(track.id, track.label, track.score, len(track.frames))
"""

from ovvis.errors import InputError, OvvisError, ResourceError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.io.video import open_source
from ovvis.models.load import list_models, load_model
from ovvis.structures import FrameResult, Instance, Track, VideoResult
from ovvis.version import __version__
from ovvis.vocabulary import Vocabulary

__all__ = [
    "FrameResult",
    "InputError",
    "Instance",
    "OvvisError",
    "ResourceError",
    "Track",
    "VideoResult",
    "VideoSegmenter",
    "Vocabulary",
    "__version__",
    "list_models",
    "load_model",
    "open_source",
]
