from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fakes import FakeModel, fake_frames, fake_prediction
from ovvis.errors import InputError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.masks import decode, encode
from ovvis.models.settings import VideoSettings
from ovvis.sources.source import Source
from ovvis.sources.video import open_source
from ovvis.structures import SHOWN_SCORE, Frame, SourceInfo

LABELS = [("dog",), ("cat", "kitten"), ("zebra",)]
Q, K, CELLS = 5, 3, (8, 16)  # 32 x 64 pixels
ADJACENT = VideoSettings(memory=1, matched=1)
NONE = {"none_logit": 2.5}


def video(seed, frames=6, quiet=True, cells=CELLS):
    """Return the predictions of a video in tube order, and the same as a network gives them, queries shuffled."""
    g = torch.Generator().manual_seed(seed)
    truth, shuffled = [], []
    for t in range(frames):
        small = torch.randn(1, Q, 3, 4, generator=g) * 4
        masks = F.interpolate(small, cells, mode="bicubic")[0] + torch.randn(Q, *cells, generator=g) * 0.2
        if t == 1:
            masks[3] = -1  # a tube that is nowhere for a frame
        logits = torch.randn(Q, K, generator=g) * 3
        objects = torch.stack([torch.randn(Q, generator=g) + 2, torch.zeros(Q)], dim=-1)
        if quiet:  # objects that go away in some frames, far and near the bound
            objects[:, 0] -= 9 * (torch.rand(Q, generator=g) < 0.3)
        ious = torch.rand(Q, generator=g) * 0.5 + 0.5
        looks = torch.eye(Q) + 0.05 * torch.randn(Q, Q, generator=g)
        truth.append(fake_prediction(masks, logits, objects, ious, looks))
        order = torch.arange(Q) if t == 0 else torch.randperm(Q, generator=g)
        shuffled.append(fake_prediction(masks[order], logits[order], objects[order], ious[order], looks[order]))
    return truth, shuffled


def dense(truth, size, count, settings, padded=None, kept=None):
    """The "weighting", "choice" and "masks" rows of docs/method.md over whole arrays, all frames in memory."""
    padded, kept = padded or size, kept or size
    masks = torch.stack([p.mask_logits[0, :, 0] for p in truth])  # T, Q, h, w
    objects = torch.stack([p.object_logits[0] for p in truth])
    ious = torch.stack([p.mask_ious[0] for p in truth])
    logits = torch.stack([p.features[0, 0, :, 0] for p in truth])  # T, Q, K
    none = torch.full((*logits.shape[:2], 1), -torch.inf if settings.none_logit is None else settings.none_logit)
    classes = torch.cat([logits, none], -1).softmax(-1)[..., :K]
    scores = (classes * ious[..., None]).sqrt().mean(0) * objects.mean(0).softmax(-1)[:, :1]
    scores = scores.sqrt()
    out = []
    for flat in scores.flatten().argsort(descending=True)[:count].tolist():
        q, k = divmod(flat, K)
        silent = (classes[:, q, k].sigmoid() * objects[:, q].softmax(-1)[:, 0]).sqrt() < scores[q, k] * 0.1
        if settings.silence is None:
            silent[:] = False
        seen = masks[~silent, q]
        confidence = seen.sigmoid()[seen > 0]
        quality = confidence.mean().item() if len(confidence) else 0.0
        full = F.interpolate(masks[:, q, None], padded, mode="bilinear")[..., : kept[0], : kept[1]]
        full = F.interpolate(full, size, mode="bilinear")[:, 0] > 0
        codes = [None if silent[t] or not full[t].any() else encode(full[t].numpy()) for t in range(len(truth))]
        out.append((q + 1, k, scores[q, k].item() * (quality if settings.mask_quality else 1), codes))
    return sorted(out, key=lambda track: -track[2])


def segmenter(predictions, **options):
    video_settings = options.pop("settings", ADJACENT)
    model = FakeModel(predictions, video_settings)
    return VideoSegmenter(model, options.pop("labels", LABELS), **({"short_edge": 0, "cache": False} | options))


def facts(result):
    """What must be the same in two runs."""
    return [(t.id, t.label, t.label_index, t.score, t.top_labels, list(t.masks)) for t in result.tracks]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("changes", [{}, {"silence": None}, {"mask_quality": False}, {"memory": 3, "matched": 2}, NONE])
def test_equals_the_rules_over_dense_arrays(seed, changes):
    truth, shuffled = video(seed)
    settings = replace(ADJACENT, **changes)
    wanted = dense(truth, (32, 64), 9, settings)
    with segmenter(shuffled, max_tracks=9, settings=settings)(fake_frames(6)) as result:
        assert len(result.tracks) == 9
        for track, (number, label, score, codes) in zip(result.tracks, wanted, strict=True):
            assert (track.id, track.label_index) == (number, label)
            assert track.score == pytest.approx(score, abs=1e-5)
            for ours, theirs in zip(track.masks, codes, strict=True):
                assert (ours is None) == (theirs is None)
                if ours is not None:
                    assert (decode(ours) != decode(theirs)).sum() <= 1  # a logit of zero up to rounding


@pytest.mark.parametrize("changes", [{}, NONE])
def test_the_dense_rules_meet_silence(changes):
    hidden = 0
    for seed in range(8):
        truth, _ = video(seed)
        loud = dense(truth, (32, 64), 9, replace(ADJACENT, silence=None, **changes))
        quiet = dense(truth, (32, 64), 9, replace(ADJACENT, **changes))
        hidden += sum(c is None for t in quiet for c in t[3]) - sum(c is None for t in loud for c in t[3])
    assert hidden > 10


@pytest.mark.parametrize(("height", "width"), [(30, 61), (33, 64), (17, 95)])
def test_odd_sizes(height, width):
    padded = (height + -height % 32, width + -width % 32)
    truth, shuffled = video(0, cells=(padded[0] // 4, padded[1] // 4))
    wanted = dense(truth, (height, width), 9, ADJACENT, padded, (height, width))
    with segmenter(shuffled, max_tracks=9)(fake_frames(6, height, width)) as result:
        assert (result.height, result.width) == (height, width)
        for track, (number, label, score, codes) in zip(result.tracks, wanted, strict=True):
            assert (track.id, track.label_index) == (number, label)
            assert track.score == pytest.approx(score, abs=1e-5)
            for ours, theirs in zip(track.masks, codes, strict=True):
                assert (ours is None) == (theirs is None)
                assert ours is None or ours["size"] == [height, width]
                assert ours is None or (decode(ours) != decode(theirs)).sum() <= 1


@pytest.mark.parametrize("options", [{"memory_limit": 1}, {"batch": 4}, {"batch": 100, "memory_limit": 1}])
def test_spilling_and_batching_change_nothing(options):
    _, shuffled = video(3)
    with segmenter(shuffled)(fake_frames(6)) as plain, segmenter(shuffled, **options)(fake_frames(6)) as other:
        assert facts(plain) == facts(other)
        assert len(plain.tracks) == Q * K


def test_batches_are_as_long_as_asked():
    _, shuffled = video(3)
    four = segmenter(shuffled, batch=4)
    four(fake_frames(6)).close()
    assert four.model.batches == [4, 2]


def test_two_runs_are_the_same():
    _, shuffled = video(4)
    both = segmenter(shuffled)
    with both(fake_frames(6)) as first, both(fake_frames(6)) as second:
        assert facts(first) == facts(second)
    with both(fake_frames(6)[::-1]) as other, both(fake_frames(6)) as third:
        with segmenter(shuffled)(fake_frames(6)) as fresh:
            assert facts(third) == facts(fresh)
        assert facts(other) != facts(third)


@pytest.mark.parametrize(("max_tracks", "count"), [(1, 1), (15, 15), (10**6, 15)])
def test_number_of_tracks(max_tracks, count):
    with segmenter(video(0)[1], max_tracks=max_tracks)(fake_frames(6)) as result:
        assert len(result.tracks) == count


def test_min_score():
    _, shuffled = video(0)
    with segmenter(shuffled)(fake_frames(6)) as every:
        bound = every.tracks[4].score
        with segmenter(shuffled, min_score=bound)(fake_frames(6)) as some:
            assert facts(some) == facts(every)[:5]
    with segmenter(shuffled, min_score=1.0)(fake_frames(6)) as none:
        assert none.tracks == []


def test_one_frame():
    truth, shuffled = video(5, frames=1)
    wanted = dense(truth, (32, 64), 4, ADJACENT)
    with segmenter(shuffled, max_tracks=4)(fake_frames(1)) as result:
        assert [(t.id, t.label_index) for t in result.tracks] == [w[:2] for w in wanted]
        assert [len(t.masks) for t in result.tracks] == [1] * 4


# Once: see test_mask_code.py, test_nothing_positive.
def test_a_frame_in_which_nothing_is_seen():
    empty = fake_prediction(-torch.ones(Q, *CELLS), torch.zeros(Q, K))
    _, shuffled = video(6, frames=1)
    with segmenter([shuffled[0], empty])(fake_frames(2)) as result:
        assert all(list(track.masks)[1] is None for track in result.tracks)
    with segmenter([empty])(fake_frames(1)) as result:
        assert all(track.frames == [] and track.score == 0 for track in result.tracks)


def test_stream_ids_are_the_tracks_ids():
    truth, shuffled = video(7, quiet=False)
    plain = [F.interpolate(p.mask_logits[:, :, 0], (32, 64), mode="bilinear")[0] > 0 for p in truth]
    frames = list(segmenter(shuffled).stream(fake_frames(6), min_score=0))
    assert [f.frame.index for f in frames] == list(range(6))
    for t, frame in enumerate(frames):
        assert len(frame.instances) >= 3
        assert len({i.id for i in frame.instances}) == len(frame.instances)
        assert [i.score for i in frame.instances] == sorted((i.score for i in frame.instances), reverse=True)
        for instance in frame.instances:
            mask = decode(instance.mask)
            assert (mask != plain[t][instance.id - 1].numpy()).sum() <= 1
            ys, xs = np.nonzero(mask)
            x, y, w, h = instance.box
            assert (x, y, x + w, y + h) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_stream_ends_with_the_tracks_labels_and_scores():
    _, shuffled = video(8, quiet=False)
    last = list(segmenter(shuffled).stream(fake_frames(6), min_score=0))[-1]
    with segmenter(shuffled, settings=replace(ADJACENT, silence=None))(fake_frames(6)) as result:
        best = {track.id: track for track in result.best_tracks(0)}
        assert last.instances
        for instance in last.instances:
            track = best[instance.id]
            assert (instance.label, instance.score) == (track.label, pytest.approx(track.score, abs=1e-5))
            assert instance.mask == track.masks[5]


def test_what_is_seen_on_the_way_is_what_a_stream_gives():
    _, shuffled = video(8, quiet=False)
    streamed = list(segmenter(shuffled).stream(fake_frames(6)))
    seen = []
    with segmenter(shuffled)(fake_frames(6), on_seen=seen.append) as unread:
        assert len(seen) == 6  # one a window, nothing made
        scores = [track.score for track in unread.tracks]
    seen = []
    with segmenter(shuffled)(fake_frames(6), on_seen=lambda found: seen.extend(found)) as result:
        assert [frame.instances for frame in seen] == [frame.instances for frame in streamed]
        assert [track.score for track in result.tracks] == scores


def test_stream_needs_no_end():
    _, shuffled = video(9)

    def endless():
        while True:
            yield from fake_frames(6)

    stream = segmenter(shuffled).stream(endless())
    assert [next(stream).frame.index for _ in range(20)] == list(range(20))
    stream.close()


def test_stream_obeys_its_numbers():
    _, shuffled = video(9, quiet=False)
    for frame in segmenter(shuffled, max_tracks=2).stream(fake_frames(6)):
        assert len(frame.instances) <= 2
    every = [i.score for frame in segmenter(shuffled).stream(fake_frames(6), min_score=0) for i in frame.instances]
    middle = float(np.median(every))
    cases = [({}, middle, middle), ({"min_score": middle}, 0, middle), ({"min_score": 0.1}, middle, middle)]
    for own, asked, least in cases:
        stream = segmenter(shuffled, **own).stream(fake_frames(6), min_score=asked)
        shown = [instance.score for frame in stream for instance in frame.instances]
        assert shown == [score for score in every if score >= least]
        assert 0 < len(shown) < len(every)
    assert VideoSegmenter.stream.__kwdefaults__["min_score"] == SHOWN_SCORE  # what the command shows
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="min_score"):
            segmenter(shuffled).stream(fake_frames(6), min_score=wrong)  # at once, not with the first frame


def test_progress_and_description():
    _, shuffled = video(0)
    done = []
    one = segmenter(shuffled, batch=4)
    with one(fake_frames(6), done.append) as result:
        assert done == [1, 2, 3, 4, 5, 6]
        assert result.frame_indices == [0, 1, 2, 3, 4, 5]
        assert result.labels == ("dog", "cat", "zebra")
        assert result.settings["weights"] == "by hand"
        assert result.settings["network_size"] == [32, 64]
        assert {"network", "masks", "tracking", "read"} <= result.seconds.keys()


def test_a_broken_source_leaves_nothing_open():
    def broken():
        yield from fake_frames(2)
        raise RuntimeError("the camera fell")

    _, shuffled = video(0)
    with pytest.raises(RuntimeError, match="the camera fell"):
        segmenter(shuffled)(broken())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"short_edge": 31}, "short_edge 31"),
        ({"long_edge": 0}, "long_edge 0"),
        ({"max_tracks": 0}, "max_tracks 0"),
        ({"batch": 0}, "batch 0"),
        ({"min_score": 1.1}, "min_score 1.1"),
        ({"min_score": float("nan")}, "min_score nan"),
        ({"settings": replace(ADJACENT, matched=2)}, "matched 2"),
        ({"labels": []}, "empty"),
        ({"prompts": ["no hole"]}, "'no hole'"),
        ({"prompts": []}, "prompts"),
    ],
)
def test_refusals(options, named):
    with pytest.raises(InputError, match=named) as caught:
        segmenter([], **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("asked", "short_edge", "size"), [(None, 64, (64, 128)), (0, 0, (32, 64)), (48, 48, (48, 96))])
def test_size_in_the_network(asked, short_edge, size):
    truth, _ = video(0, frames=1)
    with segmenter(truth, short_edge=asked)(fake_frames(1)) as result:
        assert result.settings["short_edge"] == short_edge
        assert result.settings["network_size"] == list(size)


class Wide(Source):
    """Frames of pixels that are not square."""

    rereadable = True

    def __init__(self, aspect):
        self.info = SourceInfo("wide", 32, 64, 10.0, 3, aspect)
        self.notes = ["wide is wide"]

    def __iter__(self):
        return (Frame(image, i, i / 10) for i, image in enumerate(fake_frames(3)))


@pytest.mark.parametrize(
    ("aspect", "short_edge", "size"),
    [
        (Fraction(3, 2), 0, (32, 96)),
        (Fraction(2, 3), 0, (48, 64)),
        (Fraction(4, 3), 64, (64, 171)),
        (Fraction(1), 0, (32, 64)),
    ],
)
def test_pixels_that_are_not_square(aspect, short_edge, size):
    """The network sees the picture as a person does; the masks are those of stored pixels."""
    padded = (size[0] + -size[0] % 32, size[1] + -size[1] % 32)
    truth, shuffled = video(1, frames=3, cells=(padded[0] // 4, padded[1] // 4))
    wanted = dense(truth, (32, 64), 9, ADJACENT, padded, size)
    with segmenter(shuffled, max_tracks=9, short_edge=short_edge)(Wide(aspect)) as result:
        assert result.settings["network_size"] == list(size)
        assert (result.height, result.width, result.pixel_aspect) == (32, 64, aspect)
        assert result.notes == ["wide is wide"]
        assert sum(mask is not None for track in result.tracks for mask in track.masks) > 9
        for track, (number, label, _, codes) in zip(result.tracks, wanted, strict=True):
            assert (track.id, track.label_index) == (number, label)
            for ours, theirs in zip(track.masks, codes, strict=True):
                assert (ours is None) == (theirs is None)
                assert ours is None or (decode(ours) != decode(theirs)).sum() <= 1


def test_no_frame():
    with pytest.raises(InputError) as caught:
        segmenter([])([])
    assert "\n" not in str(caught.value)


def noise_video(count=3, height=50, width=70):
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("model_name", ["tiny_model", "tiny_convnext"])
def test_a_whole_network(model_name, request):
    model = request.getfixturevalue(model_name)
    options = {"short_edge": 64, "prompts": ["a {}"], "cache": False, "max_tracks": 12}
    one = VideoSegmenter(model, LABELS, **options)
    with one(noise_video()) as first, one(noise_video()) as again:
        assert facts(first) == facts(again)
        assert len(first.tracks) == 12
        assert all(0 <= track.score <= 1 for track in first.tracks)
        assert any(track.frames for track in first.tracks)
        with VideoSegmenter(model, LABELS, **options, memory_limit=1)(noise_video()) as spilled:
            assert facts(spilled) == facts(first)
        with VideoSegmenter(model, LABELS, **options, batch=4)(noise_video()) as batched:
            for a, b in zip(first.tracks, batched.tracks, strict=True):
                assert a.score == pytest.approx(b.score, abs=1e-4)


def test_text_embeddings_of_somebody_else(tiny_model, tmp_path):
    """A matrix of CLIP's own embeddings gives CLIP's own tracks, in whatever order its rows are."""
    options = {"short_edge": 64, "cache": False, "max_tracks": 12}
    clip = VideoSegmenter(tiny_model, LABELS, prompts=["a {}"], **options)
    assert "text_embeddings_sha256" not in clip.describe()
    names = clip.vocabulary.names
    rows = clip.text.vectors[[clip.text.label_of_row.tolist().index(k) for k in range(len(names))]]
    np.save(tmp_path / "reversed.npy", 3 * rows.flip(0).numpy())
    given = VideoSegmenter(
        tiny_model, names, text_embeddings=tmp_path / "reversed.npy", text_rows=names[::-1], **options
    )
    same = VideoSegmenter(tiny_model, names, prompts=["a {}"], **options)
    with given(noise_video()) as first, same(noise_video()) as second:
        for a, b in zip(first.tracks, second.tracks, strict=True):
            assert (a.label, a.score) == (b.label, pytest.approx(b.score, abs=1e-5))
        assert first.settings["prompts"] == [] and len(first.settings["text_embeddings_sha256"]) == 64
    again = VideoSegmenter(tiny_model, names, text_embeddings=given.text, **options)
    assert again.describe() == given.describe()
    with pytest.raises(InputError, match="not of the 1 of the vocabulary"):
        VideoSegmenter(tiny_model, ["dog"], text_embeddings=given.text, **options)
    np.save(tmp_path / "wide.npy", np.ones((len(names), 25)))
    with pytest.raises(InputError, match=r"25 numbers in a row, but .* compares 24"):
        VideoSegmenter(tiny_model, names, text_embeddings=tmp_path / "wide.npy", **options)


def test_text_embeddings_are_kept(tiny_model, monkeypatch):
    VideoSegmenter(tiny_model, LABELS, prompts=["a {}"])

    def never(*args):
        raise AssertionError("the text tower ran again")

    monkeypatch.setattr(tiny_model.clip, "embed_texts", never)
    assert VideoSegmenter(tiny_model, LABELS, prompts=["a {}"]).text.vectors.shape == (4, 24)


def test_arrays_of_opencv_and_notes():
    images = [np.stack([image[..., 0], image[..., 1], image[..., 2] + 40], 2) for image in fake_frames(2)]
    seen = list(segmenter(video(0, 2)[1]).stream([i[..., ::-1] for i in images], bgr=True))
    assert all(np.array_equal(s.frame.image, image) for s, image in zip(seen, images, strict=True))
    source = open_source(images)
    source.notes = ("half of it was left out",)
    with segmenter(video(0, 2)[1])(source) as result:
        assert result.notes == ["half of it was left out"]
    with pytest.raises(InputError, match="bgr: the source is open already; give this to open_source"):
        segmenter(video(0, 2)[1])(source, bgr=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (({"a": "b"},), "model is a dict"),
        (([3],), "model is a list"),
        ((None, "dog"), "model is nothing"),
        ((FakeModel([]), {"a": "b"}), "labels are a dict"),
        ((FakeModel([]), [3]), "label 1 is a number"),
        ((FakeModel([]), b"dog"), "labels are bytes"),
        ((FakeModel([]), ["dog", ["cat", ["kitten"]]]), "label 2 is a list"),
    ],
)
def test_what_is_no_model_and_no_label(arguments, said):
    with pytest.raises(InputError, match=said) as caught:
        VideoSegmenter(*arguments)
    assert "\n" not in str(caught.value)
