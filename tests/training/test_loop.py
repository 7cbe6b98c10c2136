import math
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_run import toy_config, toy_task, toy_train

from ovvis.errors import InputError, ResourceError
from ovvis.training import checkpoint
from ovvis.training.devices import make_fabric
from ovvis.training.ema import Ema
from ovvis.training.logbook import read_metrics

HERE = Path(__file__).parent


def weights(folder):
    return checkpoint.latest(folder).weights


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_ends_with_the_same_weights(tmp_path):
    """Killed in the forward, in the update, within a save's writing, before its renaming and in its clearing up."""
    moments = ["forward 1", "forward 5", "write 4", "rename 2", "update 2", "save 1", "prune 1", "forward 2", "prune 2"]
    runs = [f"{tmp_path / 'whole'}=never", *(f"{tmp_path / 'killed'}={moment}" for moment in [*moments, "never"])]
    command = [sys.executable, str(HERE / "toy_run.py"), "killed", *runs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    codes = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    assert codes == [0, *([-signal.SIGKILL] * len(moments)), 0]
    whole = checkpoint.latest(tmp_path / "whole")
    assert whole.step == 16
    killed = checkpoint.latest(tmp_path / "killed")
    assert killed.step == 16
    assert same(killed.weights, whole.weights)
    assert same(killed.ema, whole.ema)
    assert torch.equal(killed.random[0]["torch"], whole.random[0]["torch"])
    for name in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(killed.optimizer["state"][0][name], whole.optimizer["state"][0][name])
    names = [file.name for file in (tmp_path / "killed" / checkpoint.FOLDER).iterdir()]
    assert sorted(names) == ["step-00000015.pt", "step-00000016.pt"]
    lines = [line for line in read_metrics(tmp_path / "killed") if line["kind"] == "step"]
    assert [line["step"] for line in lines] == list(range(2, 17, 2))
    assert lines[-1]["loss"] == read_metrics(tmp_path / "whole")[-1]["loss"]


@pytest.mark.slow
def test_two_processes_do_what_one_does(tmp_path):
    """Two processes, gradients averaged by gloo, the same windows in a step: the same weights, but for rounding."""
    config = toy_config()
    toy_train(tmp_path / "one", config, task=toy_task(config, dropout=0.0))
    command = [sys.executable, str(HERE / "toy_run.py"), "many", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    one, two = checkpoint.latest(tmp_path / "one"), checkpoint.latest(tmp_path / "two")
    assert len(two.random) == 2
    assert all(torch.allclose(one.weights[name], two.weights[name], atol=1e-6) for name in one.weights)
    losses = [[line["loss"] for line in read_metrics(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_stopping_and_going_on(tmp_path):
    toy_train(tmp_path / "whole")
    asked = iter([False, False, False, True])
    outcome = toy_train(tmp_path / "parts", stop=lambda: next(asked))
    assert (outcome.step, outcome.finished) == (4, False)
    assert toy_train(tmp_path / "parts").finished
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    # A finished run does nothing more.
    assert toy_train(tmp_path / "parts").step == 10


def test_checkpoints_leave_clip_out_unless_asked(tmp_path):
    toy_train(tmp_path / "without")
    assert not [name for name in weights(tmp_path / "without") if name.startswith("clip.")]
    toy_train(tmp_path / "with", toy_config(carry_clip=True))
    assert "clip.weight" in weights(tmp_path / "with")


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    toy_train(tmp_path, toy_config(steps=2))
    with pytest.raises(InputError, match=r"run with run\.seed = 0, not 5"):
        toy_train(tmp_path, toy_config(steps=2, seed=5))
    toy_train(tmp_path, toy_config(steps=2, log_every=1, workers=3, keep=7))


def test_accumulated_parts_are_the_same_step(tmp_path):
    for name, parts in (("one", 1), ("four", 4)):
        config = toy_config(accumulate=parts, steps=4)
        toy_train(tmp_path / name, config, task=toy_task(config, dropout=0.0))
    one, four = weights(tmp_path / "one"), weights(tmp_path / "four")
    assert all(torch.allclose(one[name], four[name], atol=1e-6) for name in one)


def test_the_schedule_and_the_clipping(tmp_path):
    rates = []
    toy_train(tmp_path, toy_config(log_every=1, steps=6), show=lambda record: rates.append(record.rate))
    assert rates == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01, 0.01])
    config = toy_config(steps=1)
    task = toy_task(config)
    norms = []
    task.optimizer.register_step_pre_hook(
        lambda optimizer, *_: norms.append(
            math.sqrt(sum(float(p.grad.square().sum()) for p in optimizer.param_groups[0]["params"]))
        )
    )
    toy_train(tmp_path / "clipped", config, task=task)
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_records(tmp_path):
    seen = []
    toy_train(tmp_path, show=seen.append)
    assert [record.step for record in seen] == [2, 4, 6, 8, 10]
    last = seen[-1]
    assert last.loss == pytest.approx(last.losses["square"] + last.losses["absolute"])
    assert last.memory > 2**20
    assert last.seconds >= last.waiting > 0
    lines = read_metrics(tmp_path)
    assert lines[-1]["losses"] == last.losses
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize(("ended", "saved"), [(2, []), (4, ["step-00000003.pt"])])
def test_curves_hold_each_step_once(tmp_path, ended, saved):
    """Also where a run ended before its first checkpoint and began anew."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def end(record):
        if record.step == ended:
            raise KeyboardInterrupt

    config = toy_config(steps=6, save_every=6, validate_every=3)
    task = replace(toy_task(config), pictures=lambda: [("dot", np.full((2, 3, 3), 200, np.uint8))])
    with pytest.raises(KeyboardInterrupt):
        toy_train(tmp_path, config, task=task, show=end)
    assert [file.name for file in checkpoint.checkpoints(tmp_path)] == saved
    toy_train(tmp_path, config, task=task, validate=lambda step: {"AP": step / 10})
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in curves.Scalars("loss/all")] == [2, 4, 6]
    assert [event.value for event in curves.Scalars("validation/AP")] == pytest.approx([0.3, 0.6])
    assert [(event.step, event.width, event.height) for event in curves.Images("dot")] == [(3, 3, 2), (6, 3, 2)]


def test_validation_sees_the_mean_of_the_weights_and_disturbs_nothing(tmp_path):
    config = toy_config(validate_every=4)
    task = replace(toy_task(config), pictures=lambda: [("dot", np.zeros((2, 3, 3), np.uint8))])
    seen = []

    def validate(step):
        assert not task.objective.training
        seen.append(task.model.body[0].weight.clone())
        torch.rand(3)
        return {"AP": step / 10}

    outcome = toy_train(tmp_path / "validated", config, task=task, validate=validate)
    assert outcome.figures == {"AP": 1.0}
    assert [line["step"] for line in read_metrics(tmp_path / "validated") if line["kind"] == "validation"] == [4, 8, 10]
    state = checkpoint.latest(tmp_path / "validated")
    names = sorted(file.name for file in (tmp_path / "validated" / "pictures").iterdir())
    assert names == [f"step-{step:08d}-dot.png" for step in (4, 8, 10)]
    assert torch.equal(seen[-1], state.ema["body.0.weight"])
    assert not torch.equal(seen[-1], state.weights["body.0.weight"])
    assert state.best == (1.0, 10)
    toy_train(tmp_path / "plain", config)
    assert same(state.weights, weights(tmp_path / "plain"))


def test_the_best_weights_are_kept(tmp_path):
    figures = {2: 0.1, 4: math.nan, 6: 0.5, 8: 0.3, 10: 0.5}
    config = toy_config(validate_every=2, save_every=1, keep=9)

    def validate(step):
        return {"AP": figures[step]}

    assert toy_train(tmp_path, config, validate=validate).best == (0.5, 6)
    best = checkpoint.read(tmp_path / checkpoint.FOLDER / checkpoint.BEST)
    assert (best.step, best.best) == (6, (0.5, 6))
    then = checkpoint.read(checkpoint.checkpoints(tmp_path)[4])
    assert then.step == 6
    assert same(best.weights, then.weights)
    assert same(best.ema, then.ema)
    # A run that goes on knows the best so far.
    figures[8], figures[10] = 0.2, 0.4
    for file in checkpoint.checkpoints(tmp_path)[6:]:
        file.unlink()
    assert toy_train(tmp_path, config, validate=validate).best == (0.5, 6)


@pytest.mark.parametrize("ended", [4, 10])
def test_a_validation_that_fails_takes_no_training_with_it(tmp_path, ended):
    """The checkpoint is there before it, and the run that goes on makes up for it; also after the last step."""
    config = toy_config(validate_every=4, save_every=9)
    failing, seen = True, []

    def validate(step):
        if step == ended and failing:
            raise RuntimeError("Got unsupported ScalarType BFloat16")
        seen.append(step)
        return {"AP": step / 20}

    for _ in range(2):
        with pytest.raises(RuntimeError, match="BFloat16"):
            toy_train(tmp_path / "failed", config, validate=validate)
        assert checkpoint.latest_step(tmp_path / "failed") == ended
    failing = False
    outcome = toy_train(tmp_path / "failed", config, validate=validate)
    assert (outcome.finished, outcome.figures, outcome.best) == (True, {"AP": 0.5}, (0.5, 10))
    assert seen == [4, 8, 10]
    toy_train(tmp_path / "whole", config, validate=lambda step: {"AP": step / 20})
    assert same(weights(tmp_path / "failed"), weights(tmp_path / "whole"))
    assert checkpoint.latest(tmp_path / "failed").best == checkpoint.latest(tmp_path / "whole").best
    lines = [[line["step"] for line in read_metrics(tmp_path / name)] for name in ("failed", "whole")]
    assert lines[0] == lines[1]
    toy_train(tmp_path / "failed", config, validate=validate)
    assert seen == [4, 8, 10]  # each once


def test_the_autocast_lies_round_the_forward_alone(tmp_path):
    config = toy_config(precision="bf16-mixed", steps=2)
    task = toy_task(config)
    seen = []

    def validate(step):
        seen.append((torch.is_autocast_enabled("cpu"), task.model(torch.ones(1, 4)).dtype))
        with pytest.raises(RuntimeError):
            task.model(torch.ones(1, 5))  # what fails within it leaves none behind
        seen.append((torch.is_autocast_enabled("cpu"), (torch.ones(2, 2) @ torch.ones(2, 2)).dtype))
        return {}

    toy_train(tmp_path, config, task=task, validate=validate)
    assert seen == [(False, torch.bfloat16), (False, torch.float32)]
    assert not task.model._forward_hooks


def test_a_loss_that_is_not_finite_stops_and_leaves_what_reproduces_it(tmp_path):
    config = toy_config()
    with pytest.raises(
        InputError, match=r"step 6: the loss is not finite .*window 20; window 21; window 22; window 23"
    ) as error:
        toy_train(tmp_path, config, task=toy_task(config, spoilt=22))
    file = tmp_path / "not-finite-step-00000006-process-0.pt"
    assert str(file) in str(error.value)
    dump = torch.load(file, weights_only=True)
    assert dump["step"] == 6
    assert dump["parts"][0]["inputs"][2].isnan().all()
    assert dump["config"]["run"]["seed"] == 0
    # The same weights, batch and random state give the same loss again.
    task = toy_task(config)
    task.model.load_state_dict(dump["weights"], strict=False)
    dump["parts"][0]["inputs"][2] = 1.0
    checkpoint.restore_random_state(dump["random"])
    assert torch.isfinite(task.model(dump["parts"][0]["inputs"])).all()
    # The weights of the last good checkpoint are untouched.
    assert checkpoint.latest(tmp_path).step == 3


def test_a_gradient_that_is_not_finite_stops(tmp_path):
    config = toy_config()
    task = toy_task(config)
    task.model.body[0].weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(InputError, match="step 1: the gradient is not finite"):
        toy_train(tmp_path, config, task=task)


def test_disk_full_while_saving_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    config = toy_config()
    task = toy_task(config)
    original = checkpoint._Honest.write
    full = False

    def write(self, data):
        if full:
            with Path("/dev/full").open("wb", buffering=0) as disk:  # the kernel's own error
                disk.write(b"x")
        return original(self, data)

    def fill():
        nonlocal full
        full = len(checkpoint.checkpoints(tmp_path)) == 1
        return False

    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(checkpoint._Honest, "write", write)
    said = r"step 6 could not be written .*no space left.*good checkpoint is of step 3"
    with pytest.raises(ResourceError, match=said):
        toy_train(tmp_path, config, task=task, stop=fill)
    assert [p.name for p in (tmp_path / checkpoint.FOLDER).iterdir()] == ["step-00000003.pt"]
    monkeypatch.undo()
    toy_train(tmp_path, config)
    toy_train(tmp_path / "whole", config)
    assert same(weights(tmp_path), weights(tmp_path / "whole"))


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    toy_train(tmp_path, toy_config(steps=2))
    file = checkpoint.checkpoints(tmp_path)[-1]
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="is damaged"):
        toy_train(tmp_path, toy_config(steps=2))
    torch.save({"weights": {}}, file)
    with pytest.raises(InputError, match="no checkpoint of a training run"):
        checkpoint.read(file)
    torch.save({"format": 99}, file)
    with pytest.raises(InputError, match="another version"):
        checkpoint.read(file)


def test_half_precision_scales_the_loss(tmp_path):
    """The scaler, its state in the checkpoint, and a gradient that overflows: skipped, not an error."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    def fabric(scale):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
        made = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
        made.launch()
        return made

    config = toy_config(precision="16-mixed", steps=6)
    toy_train(tmp_path / "whole", config, fabric=fabric(2.0**40))
    state = checkpoint.latest(tmp_path / "whole")
    assert 0 < state.scaler["scale"] < 2.0**40  # it overflowed at first
    asked = iter([False, True])
    toy_train(tmp_path / "parts", config, fabric=fabric(2.0**40), stop=lambda: next(asked, False))
    toy_train(tmp_path / "parts", config, fabric=fabric(1.0))
    assert same(weights(tmp_path / "parts"), state.weights)
    with pytest.raises(InputError, match="16-mixed needs a CUDA device, not cpu"):
        make_fabric("16-mixed", "cpu")


def test_bfloat16_trains_in_float32_weights(tmp_path):
    toy_train(tmp_path, toy_config(precision="bf16-mixed", steps=2))
    assert {x.dtype for x in weights(tmp_path).values()} == {torch.float32}


def spoil(key, value):
    def alter(content):
        *above, last = key.split("/")
        for part in above:
            content = content[part]
        content[last] = value

    return alter


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (spoil("weights/body.0.bias", torch.full((8,), math.nan)), "body.0.bias holds values that are not finite"),
        (spoil("weights/body.0.bias", torch.zeros(3)), "of another network, or damaged"),
        (spoil("weights/body.9.bias", torch.zeros(3)), "this network has no body.9.bias"),
        (spoil("weights/body.0.bias", [1.0]), "its 'weights' is none"),
        (lambda content: content["weights"].pop("body.0.bias"), "lacks body.0.bias"),
        (spoil("optimizer", {}), "of another network, or damaged"),
        (spoil("random", [{}]), "of another network, or damaged"),
        (spoil("random", 3), "its 'random' is none"),
        (spoil("ema", {}), "of another network, or damaged"),
        (spoil("step", -1), "its 'step' is none"),
        (spoil("config", []), "its 'config' is none"),
        (spoil("best", "x"), "its 'best' is none"),
        (spoil("format", 9), "another version of ovvis"),
    ],
)
def test_a_checkpoint_that_cannot_be_gone_on_from(tmp_path, alter, said):
    """One line, and the file stays as it is."""
    toy_train(tmp_path, toy_config(steps=2))
    [file] = checkpoint.checkpoints(tmp_path)
    content = torch.load(file, weights_only=True)
    alter(content)
    torch.save(content, file)
    before = file.read_bytes()
    with pytest.raises(InputError) as refused:
        toy_train(tmp_path, toy_config(steps=2))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert file.read_bytes() == before


@pytest.mark.parametrize("raw", [b"", b"<html>", b"\0" * 5000, b"root:x:0:0:root:/root:/bin/bash\n"])
def test_a_file_that_is_no_checkpoint(tmp_path, raw):
    toy_train(tmp_path, toy_config(steps=2))
    [file] = checkpoint.checkpoints(tmp_path)
    file.write_bytes(raw)
    (file.parent / "step-of-mine.pt").write_bytes(raw)  # none of ours: left alone
    with pytest.raises(InputError, match=r"step-00000002.pt' is damaged \(.*remove it to go on from the one before"):
        toy_train(tmp_path, toy_config(steps=2))


def test_lines_that_a_power_cut_left(tmp_path):
    toy_train(tmp_path, toy_config(steps=4))
    file = tmp_path / "metrics.jsonl"
    whole = file.read_text()
    file.write_text(whole + "\0\0\0\n[1]\n{}\n")
    toy_train(tmp_path, toy_config(steps=4))
    assert file.read_text() == whole


def test_ema():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    ema = Ema(layer, 0.9)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    ema.update()
    assert ema.state()["weight"].item() == pytest.approx(1.1)
    with ema.applied():
        assert layer.weight.item() == pytest.approx(1.1)
    assert layer.weight.item() == 2.0


def test_random_states_come_back():
    state = checkpoint.random_state()
    first = random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1)
    checkpoint.restore_random_state(state)
    assert (random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1)) == first
