import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from ovvis.cli.main import app
from ovvis.cli.process import Interrupted
from ovvis.datasets.frames import open_video
from ovvis.errors import InputError, ResourceError
from ovvis.files.lock import release_lock, take_lock
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.masks import encode
from ovvis.models.load import load_model
from ovvis.models.zoo import find_model
from ovvis.training import checkpoint
from ovvis.training.devices import make_fabric
from ovvis.training.dump import read_dump
from ovvis.training.live import Live
from ovvis.training.logbook import read_metrics
from ovvis.training.recipes import config_of, load_config, recipes
from ovvis.training.replay import replay
from ovvis.training.start import starting_model

NETWORK = {
    "clip": "tiny-resnet",
    "width": 32,
    "queries": 6,
    "pixel_layers": 1,
    "decoder_layers": 2,
    "heads": 4,
    "points": 2,
    "pixel_hidden": 32,
    "decoder_hidden": 32,
}
RECIPE = {
    "model": {"weights": "untrained", "network": NETWORK},
    "data": {"augment": {"resize": "short_edge", "short_edges": [64], "long_edge": 96}},
    "loss": {"points": 64},
    "run": {"steps": 4, "batch": 2, "workers": 0, "log_every": 1, "save_every": 2, "precision": "32-true"},
    "validation": {"every": 4, "agnostic": True, "short_edge": 64, "long_edge": 96, "pictures": 1},
}


FAMILIES = {
    "clip-vis-r50": NETWORK,
    "ovformer-r50": {**NETWORK, "backbone": "test_resnet", "window": 2},
    "ov2seg-r50": {**NETWORK, "backbone": "test_resnet"},
}


@pytest.fixture
def home(tmp_path):
    """A folder with a recipe and a dataset of three videos of two frames, a bright square in each."""
    content = {"videos": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    for video in range(1, 4):
        names, masks = [], []
        for t in range(2):
            mask = np.zeros((64, 96), bool)
            mask[10 * video : 10 * video + 20, 20 + 10 * t : 50 + 10 * t] = True
            image = np.where(mask[..., None], (250, 200, 40 * video), (20, 30, 40)).astype(np.uint8)
            names.append(f"{video}/{t}.png")
            (tmp_path / "frames" / str(video)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "frames" / names[-1])
            rle = encode(mask)
            masks.append({"size": rle["size"], "counts": rle["counts"].decode()})
        size = {"height": 64, "width": 96, "length": 2}
        content["videos"].append({"id": video, "file_names": names, **size})
        content["annotations"].append(
            {"id": video, "video_id": video, "category_id": 1, "iscrowd": 0, "segmentations": masks, **size}
            | {"areas": [600, 600], "bboxes": [None, None]}
        )
    (tmp_path / "own.json").write_text(json.dumps(content))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def train(home, *more, code=0):
    arguments = ["train", str(home / "tiny.yaml"), "--data", str(home / "own.json"), "--frames", str(home / "frames")]
    if "--output" not in more:
        more = (*more, "--output", str(home / "run"))
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu", *more])
    if code == 0 and result.exception is not None:
        raise result.exception
    return result


def refused(home, *more):
    result = train(home, *more, code=2)
    assert isinstance(result.exception, InputError), result.exception
    return str(result.exception)


def test_a_run_from_the_command_to_a_model(home):
    done = train(home, "--set", f"validation.dataset={home / 'own.json'}")
    run = home / "run"
    assert "4 steps done; AP" in done.output
    assert {"config.yaml", "checkpoints", "metrics.jsonl", "tensorboard", "pictures", "model.safetensors"} <= {
        file.name for file in run.iterdir()
    }
    lines = read_metrics(run)
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1, 2, 3, 4]
    assert set(lines[0]["losses"]) == {"object", "iou", "mask", "dice"}
    assert set(lines[-1]["figures"]) == {"AP", "AP50", "AP75", "AR10"}
    assert Image.open(run / "pictures" / "step-00000004-window-0.png").size == (192, 64)

    model = load_model("clip-vis-r50", run / "model.safetensors", device="cpu")
    state = checkpoint.latest(run)
    assert torch.equal(
        model.network.query_decoder.query_features, state.weights["network.query_decoder.query_features"]
    )

    # The same command finds nothing left to do; another setting is refused; the model can be written again.
    before = checkpoint.latest(run).weights
    train(home, "--set", f"validation.dataset={home / 'own.json'}")
    assert all(torch.equal(before[name], tensor) for name, tensor in checkpoint.latest(run).weights.items())
    assert "run.batch = 2, not 4" in refused(home, "--set", "run.batch=4")
    (run / "model.safetensors").unlink()
    assert CliRunner().invoke(app, ["train", "--export", str(run)]).exit_code == 0
    assert (run / "model.safetensors").is_file()
    assert CliRunner().invoke(app, ["train", "--export", str(run / "checkpoints" / "best.pt")]).exit_code == 0
    assert load_model("clip-vis-r50", run / "model-best.safetensors", device="cpu")


@pytest.mark.parametrize(("name", "frames"), [("ovformer-r50", 2), ("ov2seg-r50", 1)])
def test_a_run_of_another_family(home, name, frames):
    """Windows of two frames, names learnt from CLIP's texts, validation by name; then a model that segments."""
    recipe = {**RECIPE, "model": {"name": name, "weights": "untrained", "network": FAMILIES[name]}}
    recipe["data"] = {**RECIPE["data"], "sampling": {"frames": frames}}
    recipe["validation"] = {**RECIPE["validation"], "agnostic": False}
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    assert "label" in train(home, "--dry-run").output
    np.save(home / "rows.npy", np.ones((1, 24)))
    more = [f"validation.dataset={home / 'own.json'}", f"validation.text_embeddings={home / 'rows.npy'}"]
    more += [f"model.text_embeddings={home / 'rows.npy'}", "run.steps=2", "run.workers=1"]
    done = train(home, *(word for setting in more for word in ("--set", setting)))
    assert "2 steps done; AP" in done.output
    run = home / "run"
    assert set(read_metrics(run)[0]["losses"]) == {"object", "label", "mask", "dice"}
    assert (
        config_of(yaml.safe_load((run / "config.yaml").read_text()), "config").model.network.backbone == "test_resnet"
    )
    model = load_model(name, run / "model.safetensors", device="cpu", decoder_layers=2)
    with VideoSegmenter(model, ["square"], short_edge=64)(home / "frames" / "1") as result:
        assert result.tracks


def test_video_training_goes_on_from_images(home):
    """As OVFormer is trained: the weights of the image-trained model, which knows no time, in the one that does."""
    for name, frames, more in (
        ("ovformer-r50-lvis", 1, []),
        ("ovformer-r50", 2, ["--set", f"model.weights={home / 'images'}"]),
    ):
        recipe = {**RECIPE, "model": {"name": name, "weights": "untrained", "network": FAMILIES["ov2seg-r50"]}}
        recipe["data"] = {**RECIPE["data"], "sampling": {"frames": frames}}
        (home / "tiny.yaml").write_text(yaml.safe_dump(recipe))
        output = home / ("images" if frames == 1 else "video")
        train(home, "--output", str(output), "--set", "run.steps=1", "--set", "run.carry_clip=true", *more)
    before, after = checkpoint.latest(home / "images").weights, checkpoint.latest(home / "video")
    assert after.config["model"]["network"]["temporal"] and "clip.model.logit_scale" in before
    moved = {name for name, weight in after.weights.items() if not torch.equal(weight, before[name])}
    assert "network.class_head.mlp.layers.0.weight" in moved  # trained on,
    for name, weight in after.weights.items():  # by one step
        assert (weight - before[name]).abs().max() < 1e-3, name


def test_the_decoders_of_another_family(home):
    train(home, "--output", str(home / "first"), "--set", "run.steps=1")
    network = {**FAMILIES["ovformer-r50"], "backbone": "clip"}  # of CLIP-VIS's widths
    asked = {"name": "ovformer-r50", "weights": "untrained", "network": network}
    (home / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "model": asked}))
    model = starting_model(load_config(home / "tiny.yaml", [f"model.decoders={home / 'first'}"]))
    given = checkpoint.latest(home / "first").weights
    taken = {name for name, weight in model.state_dict().items() if name in given and torch.equal(weight, given[name])}
    assert taken >= {name for name in given if name.startswith(("network.pixel_decoder.", "network.query_decoder."))}
    wide = ["--set", "model.network.width=64", "--set", f"model.decoders={home / 'first'}"]
    assert "decoders of" in refused(home, "--output", str(home / "wide"), *wide)
    assert "does not exist" in refused(home, "--output", str(home / "other"), "--set", "model.decoders=gone.pth")
    two = ["--set", f"model.weights={home / 'first'}", "--set", f"model.decoders={home / 'first'}"]
    assert "decoders of their own: give one of the two" in refused(home, "--output", str(home / "two"), *two)


def test_two_stages_from_the_other_familys_weights(home):
    """OVFormer in its two stages: the first begins with all of an OV2Seg's network, the second with the first's."""
    network = {**NETWORK, "backbone": "clip"}
    every = "model.taken=[backbone,pixel_decoder,query_decoder,object_head,class_head]"
    said = {}
    for name, model, more in (
        ("ov2seg", "ov2seg-r50", []),
        ("images", "ovformer-r50-lvis", [f"model.decoders={home / 'ov2seg'}", every]),
        ("video", "ovformer-r50", [f"model.weights={home / 'images'}", "data.sampling.frames=2"]),
    ):
        recipe = {**RECIPE, "model": {"name": model, "weights": "untrained", "network": network}}
        (home / "tiny.yaml").write_text(yaml.safe_dump(recipe))
        words = [word for setting in (*more, "run.carry_clip=true", "run.steps=1") for word in ("--set", setting)]
        said[name] = " ".join(train(home, "--output", str(home / name), *words).output.split())
        if name == "images":
            begun = starting_model(load_config(home / "tiny.yaml", more))
    given, own = checkpoint.latest(home / "ov2seg").weights, begun.state_dict()
    network_of = {key for key in own if key.startswith("network.")}
    assert {key for key in network_of if key not in given} == {key for key in network_of if ".alignment." in key}
    assert all(torch.equal(own[key], given[key]) for key in network_of & given.keys())
    head, queries = begun.network.class_head, torch.randn(1, 6, 32)
    same = head.alignment.norm(head.mlp(queries))  # the frames say nothing yet
    assert torch.equal(head(queries, torch.randn(1, 1, same.shape[-1])), same)
    assert "The network begins with" not in said["ov2seg"]
    assert "class_head 4, object_head 4," in said["images"] and "adds nothing at first" in said["images"]
    assert "as drawn: class_head 10 tensors" in said["images"]
    assert f"The network begins with {home / 'images'}: backbone" in said["video"]
    assert "class_head 14, object_head 4," in said["video"] and "as drawn" not in said["video"]


def test_parts_that_cannot_be_taken_from_another_family(home):
    train(home, "--output", str(home / "first"), "--set", "run.steps=1")  # a CLIP-VIS, which has no class head
    asked = {"name": "ovformer-r50", "weights": "untrained", "network": {**NETWORK, "backbone": "clip"}}
    (home / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "model": asked}))
    first = f"model.decoders={home / 'first'}"
    for part, said in (("class_head", "first has no 'class_head'"), ("iou_head", "the network has no 'iou_head'")):
        words = ["--set", first, "--set", f"model.taken=[{part}]"]
        assert said in refused(home, "--output", str(home / "other"), *words)
    assert "model.decoders, which says whose" in refused(home, "--set", "model.taken=[object_head]")


def test_weights_to_begin_with(home, monkeypatch):
    """A checkpoint of an earlier run is taken; one that is spoilt, or of another family, is refused before training."""
    train(home, "--output", str(home / "first"), "--set", "run.steps=1", "--set", "run.carry_clip=true")
    file = home / "first" / "checkpoints" / "step-00000001.pt"
    model = starting_model(load_config(home / "tiny.yaml", [f"model.weights={file}"]))
    name = "network.query_decoder.query_features"
    assert torch.equal(model.state_dict()[name], checkpoint.read(file).weights[name])
    monkeypatch.chdir(file.parent)
    assert CliRunner().invoke(app, ["train", "--export", file.name]).exit_code == 0
    with safe_open(home / "first" / "model.safetensors", "pt") as opened:
        metadata, state = opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    spoilt = home / "spoilt.safetensors"
    for value, said in (
        (torch.full_like(state[name], torch.nan), "holds values that are not finite"),
        (state[name].int(), "holds torch.int32"),
        (state[name][:2], "has shape (2, 32), this model has (6, 32)"),
    ):
        save_file({**state, name: value.contiguous()}, spoilt, metadata)
        assert said in refused(home, "--output", str(home / "next"), "--set", f"model.weights={spoilt}")
        assert not (home / "next").exists()
    asked = {"name": "ovformer-r50", "weights": str(home / "first"), "network": FAMILIES["ovformer-r50"]}
    (home / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "model": asked}))
    for weights in (home / "first", file):
        said = refused(home, "--output", str(home / "next"), "--dry-run", "--set", f"model.weights={weights}")
        assert "is a clip-vis model, but ovformer-r50 (ovformer) was asked for" in said


def test_parts_of_a_network(home):
    train(home, "--output", str(home / "first"), "--set", "run.steps=1")
    more = ["--set", f"model.weights={home / 'first'}", "--set", "run.steps=1", "--set", "run.carry_clip=true"]
    train(home, "--output", str(home / "head"), "--set", "model.parts=[iou_head]", *more)
    before, after = (checkpoint.latest(home / name).weights for name in ("first", "head"))
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved and all(name.startswith("network.iou_head.") for name in moved)
    said = refused(home, "--output", str(home / "other"), "--set", "model.parts=[iou_heads]", *more)
    assert "model.parts: the network has no 'iou_heads'; did you mean iou_head" in said
    said = refused(home, "--output", str(home / "clip"), "--set", "model.parts=[iou_head]", "--set", "trains=clip")
    assert "but a CLIP is trained" in said


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_goes_on_from_an_earlier_one_and_trains_as_in_one_go(home, optimizer):
    (home / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "optimizer": {"kind": optimizer, "rate": 0.01}}))
    train(home, "--output", str(home / "whole"))
    train(home, "--output", str(home / "half"), "--set", "run.save_every=1", "--set", "run.keep=9")
    for file in checkpoint.checkpoints(home / "half")[2:]:
        file.unlink()  # as if the run had been killed after step 2
    train(home, "--output", str(home / "half"), "--set", "run.workers=1")
    whole, half = checkpoint.latest(home / "whole"), checkpoint.latest(home / "half")
    assert all(torch.equal(tensor, half.weights[name]) for name, tensor in whole.weights.items())
    # A new run begins with the earlier one's weights.
    train(home, "--output", str(home / "next"), "--set", f"model.weights={home / 'whole'}", "--set", "run.steps=1")


def precisions():
    """Return, of the recipes, what is trained, by the name of a family's model, and in which precision."""
    names = {"clip-vis": "clip-vis-r50", "ovformer": "ovformer-r50", "ov2seg": "ov2seg-r50"}
    configs = [load_config(name) for name in recipes()]
    found = {(c.trains, names[find_model(c.model.name).family], c.run.precision) for c in configs}
    assert {name for _, name, _ in found} == set(FAMILIES)
    return sorted(found | {("network", name, "16-mixed") for name in FAMILIES})


def half_fabric():
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    fabric.launch()
    return fabric


@pytest.mark.parametrize(("trains", "name", "precision"), precisions())
def test_a_validation_in_each_recipes_own_precision(home, trains, name, precision, monkeypatch):
    """Two windows a video, so that one is compared with the other; by name, so that all of the pipeline runs."""
    network = {**FAMILIES[name], "window": 1} if name == "ovformer-r50" else FAMILIES[name]
    recipe = {**RECIPE, "trains": trains, "model": {"name": name, "weights": "untrained", "network": network}}
    if precision == "16-mixed":  # the command keeps it for CUDA: on a CPU it is slow, but the same
        monkeypatch.setattr("ovvis.cli.training_run.make_fabric", lambda *_: half_fabric())
    recipe["validation"] = {**RECIPE["validation"], "agnostic": False, "dataset": str(home / "own.json")}
    recipe["validation"]["frames"] = str(home / "frames")
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    more = ["--set", f"run.precision={precision}", "--set", "run.steps=1"]
    assert "all 3 videos (6 frames)" in " ".join(train(home, "--dry-run", *more).output.split())
    assert "1 steps done; AP" in train(home, *more).output


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_a_validation(home, times, monkeypatch):
    """Once: the validation ends, and the step after it is saved. Twice: it ends at once."""
    asked = 0

    def press(*asked_for):
        nonlocal asked
        while asked < times:
            asked += 1
            os.kill(os.getpid(), signal.SIGINT)
        return open_video(*asked_for)

    monkeypatch.setattr("ovvis.cli.validation.open_video", press)
    settings = ["--set", f"validation.dataset={home / 'own.json'}", "--set", "validation.every=2"]
    result = train(home, *settings, code=130)
    assert isinstance(result.exception, Interrupted), result.exception
    steps = [line["step"] for line in read_metrics(home / "run") if line["kind"] == "validation"]
    if times == 1:
        assert "stopped after step 3 of 4" in str(result.exception)
        assert steps == [2]
    else:
        assert "stopped at once; the same command goes on from step-00000002" in str(result.exception)
        assert not steps
    done = train(home, *settings)
    assert "4 steps done; AP" in done.output


@pytest.mark.slow
def test_two_processes_train_as_one_does(home):
    """The real loss over two processes of torchrun: the gradients are those of one with the same windows."""
    settings = ["--set", "run.steps=2", "--set", "run.save_every=1", "--set", "run.keep=9", "--set", "run.seed=5"]
    train(home, *settings, "--output", str(home / "one"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(Path(__file__).with_name("train_many.py")), str(home / "tiny.yaml"), "--device", "cpu", *settings]
    command += ["--data", str(home / "own.json"), "--frames", str(home / "frames"), "--output", str(home / "two")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (read_metrics(home / name) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        # Not closer: AdamW's first step moves a weight whose gradient is rounding alone as far as any other. The
        # gradients themselves are compared in tests/training/test_gradients.py.
        assert a["losses"] == pytest.approx(b["losses"], rel=1e-3)
        assert a["gradient"] == pytest.approx(b["gradient"], rel=1e-3)
    assert (home / "two" / "model.safetensors").is_file()


def test_dry_run_writes_nothing(home):
    done = train(home, "--dry-run")
    for row in ("3 videos or images, 3 instances", "forward", "backward", "GiB at most", "the run", "4 steps of"):
        assert row in done.output
    assert not (home / "run").exists()


def test_a_mixture_of_which_one_lies_at_its_usual_place(home):
    own = home / "own.json"
    mixed = ["--set", f"data.train=[{own}, {own}]", "--set", f'data.frames=[{home / "frames"}, ""]']
    assert train(home, *mixed, "--dry-run").output.count("3 videos or images, 3 instances") == 2


def test_the_names_of_the_list_are_whole_where_the_terminal_is_narrow(monkeypatch):
    monkeypatch.setattr("ovvis.cli.console.out._width", 80)
    done = CliRunner().invoke(app, ["train", "--list"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    for name in recipes():
        assert [line for line in lines if line.startswith(f"{name} ")], name


def change(home, alter):
    content = json.loads((home / "own.json").read_text())
    alter(content)
    (home / "own.json").write_text(json.dumps(content))


def test_a_dataset_without_images(home):
    change(home, lambda content: content.update(videos=[], annotations=[]))
    assert "lists no image and no video" in refused(home)
    assert not (home / "run").exists()


def crowds(content):
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1


def no_masks(content):
    for annotation in content["annotations"]:
        annotation["segmentations"] = [None, None]


@pytest.mark.parametrize("keep_empty", [True, False])
@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda content: content.pop("annotations"), "holds no annotation, so there is nothing to learn from"),
        (lambda content: content.update(annotations=[]), "holds no annotation, so there is nothing to learn from"),
        (crowds, "annotations are crowds"),
        (no_masks, "no instance"),
    ],
)
def test_a_dataset_with_nothing_to_learn_from(home, alter, said, keep_empty):
    """Alone and as part of a mixture, in the dry run too."""
    (home / "whole.json").write_text((home / "own.json").read_text())
    change(home, alter)
    for data in ([], [home / "whole.json", home / "own.json"]):
        mixed = ["--set", f"data.train={json.dumps([str(path) for path in data])}"] if data else []
        mixed += ["--set", "data.frames=[]"] if data else []
        for dry in ([], ["--dry-run"]):
            message = refused(home, *mixed, *dry, "--set", f"data.choice.keep_empty={json.dumps(keep_empty)}")
            assert said in message or (not keep_empty and "no video or image with an instance left" in message)
            assert not (home / "run").exists()


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda content: content.pop("annotations"), "holds no truth"),
        (crowds, "hold no instance to compare with"),
        (lambda content: content["videos"][1].update(file_names=["2/0.png", "2/9.png"]), "2/9.png does not exist"),
    ],
)
def test_a_validation_set_that_will_not_do_is_refused_at_the_start(home, alter, said):
    content = json.loads((home / "own.json").read_text())
    alter(content)
    (home / "validation.json").write_text(json.dumps(content))
    more = ["--set", f"validation.dataset={home / 'validation.json'}", "--set", f"validation.frames={home / 'frames'}"]
    more += ["--set", "data.choice.bad=skip"]
    for dry in ([], ["--dry-run"]):
        assert said in refused(home, *more, *dry)
        assert not (home / "run").exists()


def test_a_video_of_the_validation_set_that_cannot_be_read(home):
    """The training before it is kept, and the remedies are said."""
    shutil.copytree(home / "frames", home / "spoilt")
    (home / "spoilt" / "3" / "1.png").write_bytes(b"no picture")
    more = ["--set", f"validation.dataset={home / 'own.json'}", "--set", f"validation.frames={home / 'spoilt'}"]
    said = refused(home, *more)
    assert "validation after step 4: " in said and "3/1.png" in said and "--set validation.dataset=" in said
    assert checkpoint.latest_step(home / "run") == 4
    assert "validation after step 4: " in refused(home, *more)
    assert "4 steps done; AP" in train(home, "--set", f"validation.dataset={home / 'own.json'}").output


def test_missing_frames_and_annotations_that_point_nowhere(home):
    change(home, lambda content: content["annotations"][0].update(video_id=77))
    assert "77" in refused(home)
    change(home, lambda content: content["annotations"][0].update(video_id=1))
    (home / "frames" / "2" / "1.png").unlink()
    assert "2/1.png" in refused(home)
    train(home, "--set", "data.choice.bad=skip", "--set", "run.steps=1")


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"video_id": 77}, "unknown video"),
        ({"category_id": 77}, "unknown category"),
        ({"segmentations": [None]}, "frame counts differ"),
        ({"segmentations": [{"size": [48, 64], "counts": "!"}, None]}, ""),
    ],
)
def test_annotations_that_are_bad_are_left_out_as_asked(home, part, kind):
    """Counted and named, in the dry run and the run; of the validation set too."""
    change(home, lambda content: content["annotations"][0].update(part))
    more = ["--set", "data.choice.bad=skip", "--set", f"validation.dataset={home / 'own.json'}"]
    more += ["--set", f"validation.frames={home / 'frames'}"]
    assert "annotations[0]" in refused(home)
    for dry in (["--dry-run"], ["--set", "run.steps=1"]):
        said = train(home, *more, *dry).output
        assert f"left out: {kind}" in " ".join(said.split()) and "annotations[0]" in said


def test_a_run_does_not_go_on_with_other_data(home):
    train(home, "--set", "run.steps=1")
    change(home, lambda content: content["annotations"].pop())
    said = refused(home, "--set", "run.steps=1")
    assert "holds a run on other data" in said
    assert "another --output" in said


def test_a_file_is_no_folder_of_a_run(home):
    said = refused(home, "--output", str(home / "own.json" / "run"))
    assert "own.json is a file, but it must be a folder" in said


def test_a_folder_belongs_to_one_run_at_a_time(home):
    (home / "run").mkdir()
    lock = take_lock(home / "run")
    assert "another process is training in it" in refused(home)
    assert [file.name for file in (home / "run").iterdir()] == [".lock"]
    release_lock(lock)


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.safetensors", "mine"), ("config.yaml", "mine: 1"), ("config.yaml", "[1"), ("metrics.jsonl", "mine")],
)
def test_files_that_no_run_made_are_not_replaced(home, name, content):
    (home / "run").mkdir()
    (home / "run" / name).write_text(content)
    line = refused(home)
    assert name in line and "choose another --output" in line and "\n" not in line
    assert [(file.name, file.read_text()) for file in (home / "run").iterdir()] == [(name, content)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "the GPU's memory is too small for this run: raise run.accum"),
        (MemoryError(), "the machine's memory is too small"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "the machine's memory is too small",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "f.png"), "f.png cannot be read or written (No space left"),
        (OSError(errno.EROFS, "Read-only file system"), "training is kept to step-00000002, and the same command goes"),
    ],
)
def test_a_machine_that_has_not_enough(home, error, said, monkeypatch):
    def paint(*_):
        raise error

    monkeypatch.setattr("ovvis.training.build.paint_windows", paint)
    result = train(home, "--set", "validation.every=2", code=2)
    assert isinstance(result.exception, ResourceError), result.exception
    assert said in str(result.exception) and "\n" not in str(result.exception)
    assert checkpoint.latest_step(home / "run") == 2


def test_an_output_that_can_be_no_folder(home):
    assert "can be no folder" in refused(home, "--output", "a" * 300)


def test_sizes_of_a_network_that_do_not_go_together(home):
    for setting in ("width=6", "points=64"):
        result = train(home, "--dry-run", "--set", f"model.network.{setting}", "--set", "model.network.heads=2", code=2)
        assert result.exception is None or isinstance(result.exception, InputError), result.exception


def test_a_wrong_key(home):
    assert "there is no setting 'run.stepz'; did you mean steps?" in refused(home, "--set", "run.stepz=3")


def test_weights_of_another_architecture(home):
    train(home, "--set", "run.steps=1")
    narrow = ["--set", "model.network.width=64", "--set", f"model.weights={home / 'run' / 'model.safetensors'}"]
    assert "has shape" in refused(home, "--output", str(home / "other"), *narrow)
    deep = ["--set", "model.network.decoder_layers=3", "--set", f"model.weights={home / 'run'}"]
    assert "2 decoder layers" in refused(home, "--output", str(home / "other"), *deep)
    assert "does not exist" in refused(home, "--output", str(home / "other"), "--set", "model.weights=gone.pth")


def test_a_network_that_cannot_be_built(home):
    assert "model.network cannot be built" in refused(home, "--set", "model.network.width=16")


def test_a_network_that_flies_off(home):
    said = refused(home, "--set", "optimizer.rate=1e30", "--set", "run.clip_gradients=1e30")
    assert "is not finite" in said
    assert "own, " in said
    assert list((home / "run").glob("not-finite-step-*.pt"))


@pytest.mark.parametrize(
    ("name", "parts", "head", "term"),
    [("clip-vis-r50", 1, "iou", "iou"), ("clip-vis-r50", 2, "iou", "iou"), ("ovformer-r50", 2, "class_head", "label")],
)
def test_a_step_that_was_not_finite_is_computed_again(home, name, parts, head, term, monkeypatch):
    """A head's weights are lost after a step: the replay has the record's losses, all of them."""
    recipe = {**RECIPE, "model": {"name": name, "weights": "untrained", "network": FAMILIES[name]}}
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    real = Live.update

    def update(self):
        real(self)
        for name, weight in self._task.model.network.named_parameters():
            if head in name:
                weight.data.fill_(torch.nan)

    monkeypatch.setattr(Live, "update", update)
    said = refused(home, "--set", f"run.accumulate={parts}", "--set", "run.seed=3")
    (file,) = (home / "run").glob("not-finite-step-00000002-*.pt")
    assert f"ovvis train --replay {file}" in said
    monkeypatch.undo()
    done = CliRunner().invoke(app, ["train", "--replay", str(file), "--device", "cpu"])
    assert done.exit_code == 0, done.exception
    dump, windows = read_dump(file)
    assert len(windows) == parts
    config = config_of(dump.config, "dump")
    found = replay(dump, windows, config, starting_model(config), make_fabric("32-true", "cpu"))
    assert found.losses.keys() == dump.losses.keys() == {"object", term, "mask", "dice"}
    assert np.isnan(dump.losses[term])
    assert np.isfinite(dump.losses["mask"])
    np.testing.assert_array_equal(list(found.losses.values()), list(dump.losses.values()))
    assert np.isnan(found.gradient)
    assert head in found.module
    assert f"not finite: {found.module}" in done.output


def test_what_is_no_dump_is_refused(home):
    for name in ("gone.pt", "own.json"):
        result = CliRunner().invoke(app, ["train", "--replay", str(home / name)])
        assert isinstance(result.exception, InputError)


def test_without_a_recipe_or_a_run():
    result = CliRunner().invoke(app, ["train"])
    assert "no recipe" in str(result.exception)
    result = CliRunner().invoke(app, ["train", "--export", "nowhere"])
    assert "holds no run" in str(result.exception)
