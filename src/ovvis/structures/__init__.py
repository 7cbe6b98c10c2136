"""The records that travel between rooms. Shapes in comments.

Letters: B windows in a batch, T frames, Q queries, D width, K labels, H x W pixels, h x w feature cells; in training
L decoder states, N instances of a window.
"""

from ovvis.structures.detected import NOTHING, Detected, Followed
from ovvis.structures.frames import Frame, FrameSource, Region, SourceInfo
from ovvis.structures.instances import FrameResult, Instance, LiveFrame
from ovvis.structures.network import LayeredPrediction, Prediction, Target, TextEmbeddings, TextRows, Window
from ovvis.structures.result import Span, Storage, VideoResult
from ovvis.structures.track import SHOWN_SCORE, Track, one_label_each

__all__ = [
    "NOTHING",
    "SHOWN_SCORE",
    "Detected",
    "Followed",
    "Frame",
    "FrameResult",
    "FrameSource",
    "Instance",
    "LayeredPrediction",
    "LiveFrame",
    "Prediction",
    "Region",
    "SourceInfo",
    "Span",
    "Storage",
    "Target",
    "TextEmbeddings",
    "TextRows",
    "Track",
    "VideoResult",
    "Window",
    "one_label_each",
]
