"""What every verb that runs a model asks for: its options, and the segmenter that they make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from ovvis.cli.console import note, progress, warn
from ovvis.cli.options import Mirror as Mirror  # beside the others that every verb of a model has
from ovvis.cli.options import completing, grouped
from ovvis.cli.process import quiet_libraries
from ovvis.errors import InputError
from ovvis.files.signals import uninterrupted
from ovvis.freed_memory import keep_freed_memory
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.accelerations import ACCELERATIONS, ALL, accelerations
from ovvis.models.default import default_model, small_model_warning
from ovvis.models.download import sha256
from ovvis.models.export.names import exported_path, is_exported
from ovvis.models.places import weights_files
from ovvis.models.settings import LONG_EDGE, TRACKERS, UNTRAINED, Following, Precision, VideoSettings, with_tracker
from ovvis.models.sources import use_mirror
from ovvis.models.zoo import SMALL_MODEL, ZOO, find_model
from ovvis.paths import user_path
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary, builtin_names, read_prompts

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.text import EmbeddedWords, Words

LABELS = (
    '"dog, cat|kitten" (bars between synonyms), @file.txt (a label a line), or a list\'s name: lvvis. If not given: '
    "those that an OVFormer was trained with."
)

list_names = completing(builtin_names)  # of --labels
# Groups of `--help`, after everyday options.
_network, _words, _tracking = grouped("The network"), grouped("What words mean to it"), grouped("Tracking")

Weights = Annotated[
    str | None, _network("--weights", help="A checkpoint; the model's own if not given; 'untrained' for none.")
]
Device = Annotated[str, _network("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionName = Annotated[
    str,
    _network(
        "--precision",
        help="float32, bfloat16, float16; auto: bfloat16 where the device is fast in it, else float32.",
        autocompletion=completing(get_args(Precision)),
    ),
]
ShortEdge = Annotated[
    int | None,
    _network(
        "--short-edge",
        min=0,
        help="Pixels of a frame's short edge in the network; the model's own if not given; 0 keeps the frame's.",
    ),
]
Batch = Annotated[
    int | None,
    _network("--batch", min=1, help="Windows that go through the network together; the model's own if not given."),
]
MaxTracks = Annotated[
    int | None,
    typer.Option(
        "--max-tracks",
        min=1,
        help="Most (instance, label) pairs that become tracks; the model's own number if not given, mostly 50.",
    ),
]
Prompts = Annotated[Path | None, _words("--prompts", help='Text file with prompts, a line each, "{}" for the word.')]


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """The options of a verb that runs a model, as typed; `sharing(SegmenterOptions)` gives them to a verb."""

    model: Annotated[
        str | None,
        typer.Option(
            help="A name from `ovvis models`, or a file of `ovvis models export` (.onnx); if not given, that of "
            "--weights, or the best that is here or can be fetched.",
            autocompletion=completing(ZOO),
        ),
    ] = None
    weights: Weights = None
    mirror: Mirror = None
    device: Device = "auto"
    precision: PrecisionName = "float32"
    accelerate: Annotated[
        str,
        _network(
            help=f"Ways to be faster, with commas between: {', '.join(ACCELERATIONS)}; or all. One that differs from "
            "the plain way here is left out and told (docs/gpu.md).",
            autocompletion=completing([*ACCELERATIONS, ALL]),
        ),
    ] = ""
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out tracks below this score.")] = 0.0
    max_tracks: MaxTracks = None
    short_edge: ShortEdge = None
    long_edge: Annotated[int, _network(min=32, help="Most pixels of the long edge.")] = LONG_EDGE
    batch: Batch = None
    prompts: Prompts = None
    text_embeddings: Annotated[
        Path | None,
        _words(
            help="A matrix in place of CLIP's own texts: .npy (DetPro's), .safetensors or .pt, a row a label.",
            metavar="FILE",
        ),
    ] = None
    text_rows: Annotated[
        str | None,
        _words(help="What the rows of --text-embeddings stand for, as --labels; found by number if not given."),
    ] = None
    window: Annotated[
        int | None, _tracking(min=0, help="Frames that the network sees at once (OVFormer); 0 for the whole video.")
    ] = None
    tracker: Annotated[
        str | None,
        _tracking(
            help=f"In place of the model's own: {', '.join(TRACKERS)}; the last two are of OV-DVIS++ alone.",
            autocompletion=completing(TRACKERS),
        ),
    ] = None
    memory: Annotated[
        int | None, _tracking(min=1, help="Windows that the tracker remembers; 1 with --matched 1 is MinVIS.")
    ] = None
    matched: Annotated[int | None, _tracking(min=1, help="Remembered windows that vote.")] = None
    momentum: Annotated[
        float | None, _tracking(min=0, max=1, help="Match against a running embedding (OV2Seg: 0.7).")
    ] = None
    birth: Annotated[
        float | None,
        _tracking(
            min=0,
            max=2,
            help="Cosine distance from which an object is a new one, its tube hidden; 0: tubes always go on, as "
            "released.",
        ),
    ] = None
    following: Following | None = field(default=None, metadata={"typed": False})  # of a tracker of detections

    def check(self) -> tuple[str, ...]:
        """Refuse what can be refused before anything is loaded, and return the prompts.

        Raises:
            InputError: an unknown model or tracker, a mirror that is not there, or a file of prompts or embeddings that
                cannot be used.
        """
        use_mirror(self.mirror)
        accelerations(self.accelerate)
        if is_exported(self.model):
            exported_path(str(self.model))
            if self.weights is not None:
                raise InputError(f"--weights {self.weights}: {self.model} holds its own; leave one of the two out")
        elif self.model is not None:
            find_model(self.model)
        if self.tracker is not None:
            with_tracker(VideoSettings(), self.tracker)
        if self.text_embeddings and self.prompts:
            raise InputError("--prompts and --text-embeddings exclude each other: a matrix asks no words; drop one")
        if self.text_rows and not self.text_embeddings:
            raise InputError("--text-rows says what the rows of --text-embeddings are; give both or none")
        return read_prompts(self.prompts) if self.prompts else VILD_PROMPTS

    def words(self, vocabulary: Vocabulary | None) -> Words:
        """Return what is asked for, with everything read that needs no model.

        Args:
            vocabulary: None for the one that comes with the weights.

        Raises:
            InputError: a file of prompts or embeddings cannot be used for these labels.
        """
        if self.text_embeddings is not None and vocabulary is None:
            raise InputError("--text-embeddings are of labels: give --labels too, such as lvvis")
        prompts = self.check()
        with uninterrupted():
            from ovvis.models.text import read_words

        rows = Vocabulary.parse(self.text_rows) if self.text_rows else None
        return read_words(vocabulary, prompts, self.text_embeddings, rows)

    def _may_bring_labels(self) -> bool:
        """Return whether the weights asked for may carry a vocabulary; those of an unknown file may."""
        if is_exported(self.model) or (self.weights is not None and self.model is None):
            return True
        return bool(find_model(self.model or default_model(ask=False).name).vocabulary)

    def weights_digest(self, loaded: str) -> str | None:
        """Return the SHA-256 of the checkpoint, in hexadecimal digits; None for an untrained network.

        Packaged weights are two files, whose digests are joined by a plus sign.

        Args:
            loaded: the name of the model that `load` took.
        """
        if is_exported(self.model):
            return sha256(exported_path(str(self.model)))
        if self.weights == UNTRAINED or (self.weights is None and loaded not in ZOO):
            return None
        files = [user_path(self.weights)] if self.weights else weights_files(find_model(loaded))
        return "+".join(sha256(file) for file in files)

    def caution(self, loaded: str) -> str | None:
        """Return what to say at the beginning and at the end where the small model runs because no other was there.

        Args:
            loaded: the name of the model that `load` took.
        """
        fell_back = self.model is None and self.weights is None and loaded == SMALL_MODEL
        return small_model_warning() if fell_back else None

    def warn_of_noise(self) -> None:
        """Say that an untrained network finds nothing."""
        if self.weights == UNTRAINED:
            warn("The network is untrained: masks, names and scores mean nothing; this shows the machinery only.")

    def load_anywhere(self, vocabulary: Vocabulary | None, embedded: EmbeddedWords | None) -> VideoSegmenter:
        """Return the segmenter, here or in a process that no verb has prepared; see `load`."""
        prepare_process()
        return self.load(vocabulary, Stopwatch(), embedded)

    def load(
        self, vocabulary: Vocabulary | None, watch: Stopwatch, embedded: EmbeddedWords | None = None
    ) -> VideoSegmenter:
        """Return the segmenter, with bars while weights are fetched and labels are read.

        Args:
            vocabulary: None for the one that comes with the weights.
            watch: takes the time.
            embedded: the words, where another process has embedded them with the same model.

        Raises:
            InputError: an option cannot be used.
            ResourceError: weights cannot be fetched.
        """
        with uninterrupted():  # an interrupt inside of an import comes out as any error
            from ovvis.inference.fitting import usual_batch
            from ovvis.inference.pipeline import VideoSegmenter
            from ovvis.models.load import load_model

        words = embedded or self.words(vocabulary)
        if vocabulary is None and (self.weights == UNTRAINED or not self._may_bring_labels()):
            raise InputError("--labels is missing: say what to look for, such as --labels 'dog, cat'")
        self.warn_of_noise()
        asked = {"memory": self.memory, "matched": self.matched, "momentum": self.momentum}
        tracking: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        if self.birth is not None:
            tracking["birth"] = self.birth or None
        if self.window is not None:
            tracking["window"] = self.window or None
        with watch("load"), progress(f"fetching {self.model or 'weights'}", "B") as fetched:
            network = load_model(
                self.model,
                self.weights,
                device=self.device,
                precision=cast(Precision, self.precision),
                on_progress=fetched,
                accelerate=self.accelerate,
            )
        for told in network.notes:
            note(told)
        if caution := self.caution(network.name):
            warn(caution)
        video = with_tracker(network.video, self.tracker) if self.tracker else network.video
        with watch("text"), progress("reading labels", "words") as read:
            return VideoSegmenter(
                network,
                words,
                short_edge=self.short_edge,
                long_edge=self.long_edge,
                max_tracks=self.max_tracks,
                min_score=self.min_score,
                settings=replace(video, **tracking),
                following=self.following,
                batch=usual_batch(network, self.batch),
                on_text=read,
            )


def prepare_process() -> None:
    """Set the process up for a long run of a model: see `ovvis.cli.process`."""
    quiet_libraries()
    keep_freed_memory()


def device_title(device: str) -> str:
    """Return a device as a person knows it: the name of a GPU."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)
