"""The gradients of one step of a tiny network with the real loss, in this process's share of the windows."""

import sys
from pathlib import Path

import open_clip
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import TINY_CLIPS
from fakes import build_tiny, build_tiny_ovformer
from forked import run_forked
from ovvis.structures import TextEmbeddings
from ovvis.training.config import RunConfig, TrainConfig
from ovvis.training.data.dataset import Origin
from ovvis.training.data.loader import TrainingBatch
from ovvis.training.data.sampling import Draw
from ovvis.training.devices import make_fabric
from ovvis.training.live import Live
from ovvis.training.loss.criterion import LossConfig, clip_vis_criterion, ovformer_criterion
from ovvis.training.loss.objective import NetworkObjective, TrainedLabels
from ovvis.training.meter import Meter
from ovvis.training.task import Task
from training_cases import boxes

SIZE = (64, 96)
COUNTS = ((3, 0), (2, 1, 7, 0), (0, 0))  # instances of each window of a step; the second process has every second one
CASES = [
    *((counts, dtype, "clip-vis") for counts in COUNTS for dtype in (torch.float64, torch.float32)),
    *((counts, torch.float32, "ovformer") for counts in COUNTS),  # cosines are float32 whatever the precision
]
LABELS = TrainedLabels(
    TextEmbeddings(torch.eye(24)[:6], torch.arange(6), tuple("abcdef")), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
)


def batch_of(counts, rank, processes, frames):
    """Return this process's windows of a step."""
    chosen = range(rank, len(counts), processes)
    windows = [
        torch.randint(0, 256, (frames, 3, *SIZE), generator=torch.Generator().manual_seed(i), dtype=torch.uint8)
        for i in chosen
    ]
    pixels = torch.stack(windows)
    targets = [boxes(counts[i], frames, size=SIZE, seed=i) for i in chosen]
    return TrainingBatch(
        pixels=pixels,
        sizes=(SIZE,) * len(pixels),
        masks=torch.cat([target.masks for target in targets]),
        labels=torch.cat([target.labels for target in targets]),
        ids=torch.cat([target.ids for target in targets]),
        counts=tuple(len(target.labels) for target in targets),
        origins=tuple(Origin(Draw(i, 0, i), "made", str(i), ("0.png",) * frames, ()) for i in chosen),
        views=None if frames == 1 else pixels[..., :64, :64],
    )


def gradients(fabric, counts, dtype, family):
    """Return every weight's gradient of a step over windows with so many instances."""
    torch.manual_seed(0)
    config = LossConfig(points=200, label_sample=4)
    average = (lambda counts: fabric.all_reduce(counts, reduce_op="mean")) if fabric.world_size > 1 else None
    if family == "clip-vis":
        model = build_tiny(decoder_layers=3).to(dtype)
        objective = NetworkObjective(model, clip_vis_criterion(config), None, average)
    else:
        model = build_tiny_ovformer(decoder_layers=3)
        objective = NetworkObjective(model, ovformer_criterion(config, LABELS.weights), LABELS, average)
    model.register_forward_pre_hook(lambda module, inputs: (inputs[0].to(dtype),))
    weights = [weight for weight in model.network.parameters() if weight.requires_grad]
    task = Task(model, objective, torch.optim.SGD(weights, lr=0.1), lambda step: 1.0, lambda position: iter(()))
    config = TrainConfig(run=RunConfig(steps=1, batch=len(counts)))
    live = Live(task, config, fabric, Path("unused"))
    live.set_rates(0)
    batch = batch_of(counts, fabric.global_rank, fabric.world_size, 1 if family == "clip-vis" else 2)
    live.forward_backward(iter([batch]), Meter(1, len(counts)))
    return {name: weight.grad.clone() for name, weight in model.network.named_parameters() if weight.requires_grad}


def main(file):
    """Be one of several processes; each writes what it has."""
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    torch.set_num_threads(1)
    fabric = make_fabric("32-true", "cpu")
    torch.save([gradients(fabric, *case) for case in CASES], f"{file}.{fabric.global_rank}")


if __name__ == "__main__":
    run_forked(lambda: main(sys.argv[1]))
