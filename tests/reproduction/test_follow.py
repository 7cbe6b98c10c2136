from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_ov_dvis
from ovvis.datasets.drawn import DrawnSplit
from ovvis.datasets.stickers import SPLITS
from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import InputError
from ovvis.inference.final_masks import masks_of
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.masks import decode, encode
from ovvis.models.classifiers import MaskPooledClassifier
from ovvis.models.settings import Following, VideoSettings, with_tracker
from ovvis.reproduction import truth
from ovvis.reproduction.cropped import LOOKED_AT, crop_namer, named_by_crops
from ovvis.reproduction.experiments import choose
from ovvis.reproduction.follow import Follower
from ovvis.reproduction.proposed import ProposedWays
from ovvis.reproduction.rows import Way
from ovvis.structures import Detected, Followed, Frame
from tiny_world import tiny_sprites

SHORT = replace(SPLITS["val"], config=replace(SPLITS["val"].config, frames=5))
OWN = VideoSettings()
EXPERIMENTS = choose(["splits", "modules", "weighting", "matching", "formulas"])
WAYS = list(dict.fromkeys(row.way(OWN) for experiment in EXPERIMENTS for row in experiment.rows))
OPTIONS = {"short_edge": 64, "prompts": ["a {}"], "cache": False, "max_tracks": 20}


@pytest.fixture(scope="module")
def drawn():
    return DrawnSplit(SHORT, tiny_sprites(), 2)


@pytest.fixture(scope="module")
def model(_tiny_clips):
    return build_tiny(queries=12)


def facts(tracks):
    return [(t.id, t.label, t.score, list(t.masks)) for t in tracks]


def follower(model, drawn, ways, learnt="none"):
    vocabulary, ids = dataset_vocabulary(drawn.categories)
    segmenter = VideoSegmenter(model, vocabulary, settings=replace(model.video, learnt=learnt), **OPTIONS)
    return Follower(segmenter, ways, {id: k for k, id in enumerate(ids)})


def test_each_way_finds_what_a_run_of_its_own_finds(model, drawn):
    assert len(WAYS) > 25
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    video, frames, seconds = drawn.video(1), [], {}
    different = []
    for found in follower(model, drawn, WAYS)(video, frames.append, seconds):
        way = found.way
        alone = VideoSegmenter(model, vocabulary, settings=way.settings, **OPTIONS)
        if way.pooling is not None:
            alone.model = _with_classifier(model, MaskPooledClassifier(model.clip, way.pooling))
        with alone(list(video.images)) as result:
            wanted = result.best_tracks(0) if way.one_label else result.tracks
            assert facts(found.tracks) == facts(wanted), way
            different.append(str(facts(wanted)))
    assert len(different) == len(WAYS) and len(set(different)) > 8
    assert frames == [1, 2, 3, 4, 5] and {"read", "network", "names"} <= seconds.keys()


@pytest.mark.parametrize("clip", ["tiny-resnet", "tiny-convnext"])
@pytest.mark.parametrize("refined", [False, True])
def test_trackers_under_one_segmenter_find_what_each_finds_alone(drawn, clip, refined):
    model = build_tiny_ov_dvis(clip, refined=True, queries=12).for_inference(torch.device("cpu"), torch.float32)
    (table,) = choose(["trackers"])
    rows = [row for row in table.rows if (row.name == "offline") == refined]
    ways = [row.way(model.video) for row in rows]
    # Of a learnt tracker the match that comes first may differ, too.
    ways += [] if refined else [Way(replace(ways[-1].settings, memory=3, matched=2))]
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    video, passes = drawn.video(1), []
    watched = model.network.register_forward_hook(lambda *_: passes.append(1))
    one = follower(model, drawn, ways, "offline" if refined else "none")
    found = [(way.way, facts(way.tracks)) for way in one(video, lambda frames: None)]
    watched.remove()
    assert len(passes) == 5 and {way for way, _ in found} == set(ways)  # one for each frame
    for way, tracks in found:
        with VideoSegmenter(model, vocabulary, settings=way.settings, **OPTIONS)(list(video.images)) as result:
            assert tracks == facts(result.tracks), way
    assert len({str(tracks) for _, tracks in found}) >= min(len(found), 2)
    if not refined:
        with pytest.raises(ValueError, match="refined over the whole video"):
            follower(model, drawn, ways, "offline")


def test_ways_of_detections(model, drawn):
    """As those of a run of their own; names by crops are others."""
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    video = drawn.video(0)
    trackers = {name: Way(with_tracker(OWN, name)) for name in ("sort", "overlap", "propagate")}
    cropped = [Way(with_tracker(OWN, "sort"), crops=crops) for crops in ("alone", "around")]
    brief = Way(trackers["sort"].settings, how=Following(patience=0, min_frames=3))
    ways = [Way(OWN), *trackers.values(), *cropped, brief]
    found = {}
    for one in follower(model, drawn, ways)(video, lambda _: None):
        found[one.way] = facts(one.tracks)
    assert set(found) == set(ways)
    for way in trackers.values():
        with VideoSegmenter(model, vocabulary, settings=way.settings, **OPTIONS)(list(video.images)) as result:
            assert found[way] == facts(result.tracks)
    assert all(sum(map(bool, codes)) >= 3 for _, _, _, codes in found[brief])
    first, second = (found[way] for way in cropped)
    assert first and second and [f[1:3] for f in first] != [f[1:3] for f in second]


def test_a_tube_is_named_by_crops_in_each_fourth_of_its_frames(model, drawn):
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    way = Way(with_tracker(OWN, "sort"), crops="around")
    ways = ProposedWays([way], VideoSegmenter(model, vocabulary, **OPTIONS), drawn.size)
    image = drawn.video(0).images[0]
    masks = tuple(
        encode(np.pad(np.ones((9, 9), bool), ((0, image.shape[0] - 9), (0, image.shape[1] - 9)))) for _ in "ab"
    )
    named = []
    for frame in range(6):  # the second tube begins later, and a thing of no tube is not named
        tubes = np.array([0, 1 if frame >= 2 else -1])
        found = ways._named(way, Frame(image, frame, 0.0), Detected(masks, np.ones(2)), Followed(tubes))
        named.append((~np.isnan(found.names).any(1)).tolist())
    assert [row[0] for row in named] == [True, False, False, False, True, False]
    assert [row[1] for row in named] == [False, False, True, False, False, False]


def test_queries_named_by_crops(model, drawn):
    """Followed as they always are; a query's name is that of its mask's crop, or none where it is no object."""
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    segmenter = VideoSegmenter(model, vocabulary, **OPTIONS)
    video = drawn.video(0)
    look = segmenter.look(video.source())
    window, seen = next(iter(look))
    seen.objects[3] = LOOKED_AT / 2
    namer = crop_namer(segmenter, "alone")
    made = named_by_crops(seen, window, look.padded, namer)
    assert made.objects is seen.objects and not made.logits[3].any()
    codes = masks_of(seen.masks, look.padded, window)[0]
    for query, code in enumerate(codes):
        if code is None or seen.objects[query] < LOOKED_AT:
            assert not made.logits[query].any()
        else:
            wanted = namer.logits(namer.embed(window.frames[0].image, [code]))[0]
            torch.testing.assert_close(made.logits[query], wanted)
    assert made.logits.any(1).sum() >= 3
    settings = replace(with_tracker(OWN, "adjacent"), silence=None)
    plain, crops = Way(settings), Way(settings, crops="alone")
    found = {one.way: facts(one.tracks) for one in follower(model, drawn, [plain, crops])(video, lambda _: None)}
    shown = [{tuple(code and code["counts"] for code in codes) for *_, codes in found[way]} for way in (plain, crops)]
    assert shown[0] & shown[1]  # the same tubes under other names
    assert [fact[:3] for fact in found[plain]] != [fact[:3] for fact in found[crops]]


def _with_classifier(model, classifier):
    """Return a model that names in another way, and leave the model as it is."""
    other = copy(model)
    other._modules = {**model._modules, "classifier": classifier}
    return other


def test_everything_given_is_the_truth(model, drawn):
    settings = replace(OWN, mask_quality=False)
    everything = Way(settings, given=frozenset({"masks", "identities", "names"}))
    video = drawn.video(0)
    names = {category.id: category.name for category in drawn.categories}
    for found in follower(model, drawn, [everything])(video, lambda frames: None):
        best = {track.id: (track.label, list(track.masks)) for track in reversed(found.tracks)}
    seen = 0
    for n, category in enumerate(video.categories):
        label, masks = best[n + 1]
        true = video.owners == n + 1
        assert label == names[category] or not true.any()
        for t, mask in enumerate(masks):
            if true[t].sum() > 300:
                shared = (decode(mask) & true[t]).sum() / (decode(mask) | true[t]).sum()
                assert shared > 0.6  # as good as masks of so few cells can be
                seen += 1
    assert seen > 5


def test_oracles_change_what_they_are_of(model, drawn, monkeypatch):
    monkeypatch.setattr(truth, "HALF", 0.05)  # an untrained network finds little
    plain = Way(OWN)
    ways = [plain, *(replace(plain, given=frozenset({given})) for given in ("names", "identities"))]
    video = drawn.video(0)
    by_way = {found.way: facts(found.tracks) for found in follower(model, drawn, ways)(video, lambda frames: None)}
    assert len({str(tracks) for tracks in by_way.values()}) == 3


def test_ways_of_one_pass_see_the_same_windows(model, drawn):
    other = Way(replace(OWN, window=2))
    with pytest.raises(ValueError, match="2 lengths"):
        follower(model, drawn, [Way(OWN), other])


def test_settings_of_a_segmenter_can_be_changed(model, drawn):
    vocabulary, _ = dataset_vocabulary(drawn.categories)
    one = VideoSegmenter(model, vocabulary, **OPTIONS)
    other = one.with_settings(replace(OWN, memory=1, matched=1))
    assert (one.settings, other.settings.memory) == (OWN, 1) and other.model is one.model
    with pytest.raises(InputError, match="matched 5"):
        one.with_settings(replace(OWN, memory=1))
    assert torch.equal(one.text.vectors, other.text.vectors)
