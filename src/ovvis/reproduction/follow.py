"""One video, one pass of the network, many ways to its tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ovvis.inference.look import Look
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.recording import Recording
from ovvis.inference.seen import Seen
from ovvis.inference.trackers import build_learnt, build_tracker
from ovvis.inference.tubes import Tubes
from ovvis.inference.video_names import VideoNames, video_names
from ovvis.models.classifiers import Classifier, MaskPooledClassifier
from ovvis.models.clip import FrozenClip
from ovvis.models.settings import Pooling
from ovvis.reproduction.cropped import crop_namer, named_by_crops
from ovvis.reproduction.proposed import ProposedWays, is_proposed
from ovvis.reproduction.rows import Crops, Given, Way
from ovvis.reproduction.truth import WindowTruth
from ovvis.reproduction.videos import Shown
from ovvis.structures import Prediction, Track, Window, one_label_each
from ovvis.tracking.association import SharedMatches
from ovvis.tracking.learnt import InOrder, LearntTracker
from ovvis.tracking.tracker import Tracker

# What decides masks and class logits; the third is a way that stands for those of one learnt tracker.
_View = tuple[Pooling | None, frozenset[Given], Way | None, Crops | None]
_OWN: _View = (None, frozenset(), None, None)


@dataclass(frozen=True, slots=True)
class Found:
    """What one way found in a video."""

    way: Way
    tracks: list[Track]  # their masks can be read until the next is asked for


class Follower:
    """Follows a model's queries through videos in many ways at once; the network sees each frame once.

    Ways that share masks and names share the records of the frames and the masks made of them; ways that differ in
    their memory alone share the comparisons of windows. A learnt tracker, which makes masks and names anew, takes the
    same predictions as the matchings do.

    Args:
        segmenter: the model with its vocabulary; its own settings do not matter but for the window, and whether a
            refiner goes over the whole video: then all ways must want that.
        ways: the ways.
        label_of: position in the vocabulary of each category id.

    Raises:
        ValueError: the ways do not see the same windows, or some are refined and others are not.
    """

    def __init__(self, segmenter: VideoSegmenter, ways: Sequence[Way], label_of: dict[int, int]) -> None:
        windows = {way.settings.window for way in ways}
        if len(windows) > 1:
            raise ValueError(f"ways with windows of {len(windows)} lengths: each needs a pass of its own")
        refined = {way.settings.learnt == "offline" for way in ways} | {segmenter.settings.learnt == "offline"}
        if len(refined) > 1:
            raise ValueError("ways that are refined over the whole video and others: each need a pass of their own")
        self._segmenter, self._ways, self._label_of = segmenter, tuple(ways), label_of
        self._classifiers: dict[Pooling | None, Classifier] = {None: segmenter.model.classifier}
        for way in ways:
            if way.pooling is not None:
                assert isinstance(segmenter.model.clip, FrozenClip)  # an exported file names in one way
                self._classifiers[way.pooling] = MaskPooledClassifier(segmenter.model.clip, way.pooling)

    @torch.no_grad()
    def __call__(
        self, video: Shown, on_frame: Callable[[int], None], seconds: dict[str, float] | None = None
    ) -> Iterator[Found]:
        """Yield what each way finds.

        Args:
            video: the video.
            on_frame: called with the number of frames seen.
            seconds: takes the time of reading, network and names.
        """
        segmenter, learnt = self._segmenter, self._learnt()
        if segmenter.settings.learnt == "online":
            segmenter = segmenter.with_settings(replace(segmenter.settings, learnt="none"))
        look = segmenter.look(video.source())
        proposed = ProposedWays([way for way in self._ways if is_proposed(way)], segmenter, video.size)
        pass_ = _Pass([way for way in self._ways if not is_proposed(way)], segmenter)
        labels = tuple(self._label_of[category] for category in video.categories)
        done = 0
        try:
            for window, seen in look:
                frames = [frame.index for frame in window.frames]
                followed = {way: self._named(tracker.update(seen.prediction)) for way, tracker in learnt.items()}
                views = _Views(self._classifiers, segmenter, seen, followed, window, look.padded)
                if any(way.given for way in self._ways):
                    if video.owners is None:
                        raise ValueError("a way is given a part of the truth, and this video's is not known by pixel")
                    views.truth = WindowTruth(video.owners[frames], labels, look.size, look.padded)
                pass_.add(views)
                proposed.add(window, seen, look)
                done += len(frames)
                on_frame(done)
            if seconds is not None:
                seconds.update(look.watch.seconds)
            yield from pass_.finish(look, video.size, segmenter.max_tracks)
            yield from (Found(way, tracks) for way, tracks in proposed.finish(segmenter.max_tracks))
        finally:
            pass_.close()
            proposed.close()

    def _learnt(self) -> dict[Way, LearntTracker]:
        """Return the learnt trackers of the ways, at the beginning of a video, each under the way that stands for it.

        Those of refined ways are part of the pass.
        """
        ways = {_tracking(way): way.settings for way in self._ways if way.settings.learnt == "online"}
        return {way: build_learnt(self._segmenter.model, settings) for way, settings in ways.items()}

    def _named(self, prediction: Prediction) -> Seen:
        model = self._segmenter.model
        return Seen(prediction, model.classifier(prediction, self._segmenter.text), model.clip.logit_scale)


class _Views:
    """A window as several ways see it: with other names, or with the truth in place of what the network says."""

    def __init__(
        self,
        classifiers: dict[Pooling | None, Classifier],
        segmenter: VideoSegmenter,
        seen: Seen,
        followed: Mapping[Way, Seen],
        window: Window,
        padded: tuple[int, int],
    ) -> None:
        self._classifiers, self._segmenter, self.seen = classifiers, segmenter, seen
        self._window, self._padded = window, padded
        self.truth: WindowTruth | None = None
        self._made: dict[_View, Seen] = {_OWN: seen}
        self._made |= {(None, frozenset(), way, None): other for way, other in followed.items()}
        self._order: Tensor | None = None

    def of(self, view: _View) -> Seen:
        """Return what a view sees."""
        if view not in self._made:
            pooling, given, _, crops = view
            prediction, made = self.seen.prediction, self.seen
            if "masks" in given:
                prediction = self.known.masked(prediction)
            if "masks" in given or pooling is not None:
                logits = self._classifiers[pooling](prediction, self._segmenter.text)
                made = Seen(prediction, logits, self.seen.logit_scale)
            if crops is not None:
                made = named_by_crops(made, self._window, self._padded, crop_namer(self._segmenter, crops))
            score = self._segmenter.settings.class_score
            self._made[view] = self.known.named(made, score) if "names" in given else made
        return self._made[view]

    @property
    def known(self) -> WindowTruth:
        """What is true of the window."""
        assert self.truth is not None, "a way asks for the truth, and it was not given"
        return self.truth

    def true_order(self) -> Tensor:
        """Return the tube order in which tube n is object n."""
        if self._order is None:
            self._order = self.known.order(self.seen)
        return self._order


class _Pass:
    """The trackers, records and tubes of one video."""

    def __init__(self, ways: Sequence[Way], segmenter: VideoSegmenter) -> None:
        shared, labels = SharedMatches(), segmenter.text.labels
        self._trackers: dict[Way, Tracker | InOrder] = {}
        self._recordings: dict[_View, Recording] = {}
        self._tubes: dict[Way, Tubes] = {}
        self._names: dict[_View, VideoNames] = {}  # of tubes that are named for the whole video
        for view in dict.fromkeys(map(_view, ways)):
            settings = [way.settings for way in ways if _view(way) == view]
            self._recordings[view] = Recording(settings, remember=True)
            names = video_names(segmenter, settings[0])
            if names is not None:
                self._names[view] = names
        for way in dict.fromkeys(ways):
            if "identities" not in way.given:
                self._trackers.setdefault(_tracking(way), build_tracker(way.settings, shared))
            self._tubes[way] = Tubes(labels, way.settings, self._recordings[_view(way)])

    def add(self, views: _Views) -> None:
        """Take the next window."""
        seen = views.seen
        orders = {way: seen.followed_by(tracker, way.settings) for way, tracker in self._trackers.items()}
        for view, recording in self._recordings.items():
            recording.add(views.of(view))
        for view, names in self._names.items():
            names.add(views.of(view).prediction)
        for way, tubes in self._tubes.items():
            seen = views.of(_view(way))
            if "masks" in way.given:
                order = torch.arange(len(seen.objects))
            elif "identities" in way.given:
                order = views.true_order()
            else:
                order = orders[_tracking(way)]
            tubes.add(seen, order)

    def finish(self, look: Look, size: tuple[int, int], max_tracks: int) -> Iterator[Found]:
        """Yield the tracks of each way, one after another."""
        means = {view: names.mean() for view, names in self._names.items()}
        for way, tubes in self._tubes.items():
            if _view(way) in means:
                tubes.settle(means[_view(way)])
            tracks, store = tubes.finish(look.padded, look.size, size, max_tracks, 0.0)
            try:
                yield Found(way, one_label_each(tracks) if way.one_label else tracks)
            finally:
                store.close()

    def close(self) -> None:
        """Free the records."""
        for recording in self._recordings.values():
            recording.close()
        for names in self._names.values():
            names.close()


def _view(way: Way) -> _View:
    learnt = _tracking(way) if way.settings.learnt == "online" else None
    return way.pooling, way.given - {"identities"}, learnt, way.crops


def _tracking(way: Way) -> Way:
    """Return a way that stands for all with the same tracker."""
    s = way.settings
    plain = replace(
        type(s)(),
        learnt=s.learnt,
        memory=s.memory,
        matched=s.matched,
        recency_weighted=s.recency_weighted,
        momentum=s.momentum,
        birth=s.birth,
    )
    if s.names:
        plain = replace(plain, names=s.names, class_score=s.class_score, none_logit=s.none_logit)
    return Way(plain)
