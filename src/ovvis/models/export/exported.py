"""An exported file as a model: the network in ONNX Runtime, what follows it in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ovvis.errors import InputError
from ovvis.models.classifiers import Classifier, Text
from ovvis.models.download import Progress
from ovvis.models.export.carried import TEXTS, read_carried
from ovvis.models.export.graph import EXPONENTS, PIXELS, ROWS, VIEWS, WORDS, example, text_rows
from ovvis.models.export.header import Header, check_precision, read_header
from ovvis.models.export.names import exported_path
from ovvis.models.export.session import Session
from ovvis.models.export.text_tower import ExportedClip, tower_places
from ovvis.models.families import FAMILIES
from ovvis.models.geometric_ensemble import EnsembleClassifier
from ovvis.models.layers.linear import replace_linears
from ovvis.models.model import Model
from ovvis.models.stated import sound_config
from ovvis.models.torch_file import line_of
from ovvis.structures import Prediction, TextEmbeddings


class NamedByGraph(Classifier):
    """Gives the names that the graph gave with its prediction."""

    def __init__(self, one_frame: bool) -> None:
        super().__init__()
        self.one_frame = one_frame

    def forward(self, prediction: Prediction, text: Text) -> Tensor:  # noqa: ARG002  the graph was given it
        """Return the class logits of a batch of windows, (B, Q, K), or K + 1 with a learnt "none"."""
        assert prediction.class_logits is not None
        return prediction.class_logits


class ExportedModel:
    """What `load_model` returns for a file that `ovvis models export` wrote; `VideoSegmenter` takes it as any model.

    It computes on the CPU what is not in the graph: matching, a learnt tracker, masks.

    Args:
        path: the file.
        header: what it says of itself.
        plain: a model of the same configuration on no device, but for the parts that Python uses.
        clip: reads words.
        session: runs the graph.
        texts: the vocabulary that came with the weights, or None.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        plain: Model,
        clip: ExportedClip,
        session: Session,
        texts: TextEmbeddings | None,
    ) -> None:
        self.header, self.clip, self.texts = header, clip, texts
        self._session = session
        self.precision = header.precision
        self.name, self.family, self.config, self.video = header.name, header.family, plain.config, plain.video
        self.short_edge, self.view_side = plain.short_edge, plain.view_side
        self.source = path.name
        self.runtime: str | None = session.line
        self.accelerated: tuple[str, ...] = ()
        self.notes = (*session.notes, f"{path.name}: {header.name}, {header.precision}, through {session.line}")
        self.network, self.tracker, self.refiner = plain.network, plain.tracker, plain.refiner
        self._ensemble = plain.classifier if isinstance(plain.classifier, EnsembleClassifier) else None
        self.classifier: Classifier = plain.classifier
        if WORDS in header.inputs:
            self.classifier = NamedByGraph(plain.classifier.one_frame)
        self.pixel_mean, self.pixel_std = (torch.tensor(x).view(3, 1, 1) for x in (header.pixel_mean, header.pixel_std))
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.batch = header.batch or plain.batch
        self._text: tuple[TextEmbeddings, dict[str, Tensor]] | None = None

    def eval(self) -> ExportedModel:
        """Return the model, which is never trained."""
        return self

    def see(self, pixels: Tensor, views: Tensor | None, text: TextEmbeddings) -> Prediction:
        """Return the prediction of a batch of windows, as `Model.see` does; with their names, if the graph names.

        Raises:
            InputError: the file takes frames of another size only.
        """
        self._check_size(pixels)
        step = self.header.batch or len(pixels)
        found = []
        for start in range(0, len(pixels), step):
            given = {PIXELS: pixels[start : start + step].float(), **self._words(text)}
            if views is not None:
                given[VIEWS] = views[start : start + step]
            found.append(self._session({name: given[name] for name in self.header.inputs}))
        parts = {name: torch.cat([one[name] for one in found]) for name in self.header.outputs}
        return Prediction(**(dict.fromkeys(("object_logits", "mask_ious", "features")) | parts))  # type: ignore[arg-type]

    def _check_size(self, pixels: Tensor) -> None:
        size = pixels.shape[-2], pixels.shape[-1]
        wanted = self.header.height, self.header.width
        if wanted[0] is not None and size != wanted:
            raise InputError(
                f"model {self.source!r} was exported for frames of {wanted[0]}x{wanted[1]} pixels only, and these are "
                f"{size[0]}x{size[1]} at --short-edge; export it with --size {size[0]}x{size[1]}, or without --size"
            )

    def _words(self, text: TextEmbeddings) -> dict[str, Tensor]:
        """Return the inputs that say what to look for."""
        if WORDS not in self.header.inputs:
            return {}
        if self._text is None or self._text[0] is not text:
            share = None if self._ensemble is None else self._ensemble.exponents(text, torch.device("cpu"))
            rows = text_rows(text, share)
            given = {WORDS: rows.vectors, ROWS: rows.rows}
            if rows.exponents is not None:
                given[EXPONENTS] = rows.exponents
            self._text = text, given
        return self._text[1]


AnyModel = Model | ExportedModel
"""What inference takes."""


def load_exported(
    name: str, device: str = "auto", precision: str = "float32", on_progress: Progress | None = None
) -> ExportedModel:
    """Return the model of an exported file.

    Args:
        name: the file.
        device: see `Session`.
        precision: what the caller wants; "auto" and "float32" take what the file has.
        on_progress: called with bytes done and bytes in all while the text tower is fetched, if it must be.

    Raises:
        InputError: it is no such file, damaged, or cannot be used so; see `read_header` and `Session`.
    """
    path = exported_path(name)
    proto, header = read_header(path)
    where = f"model {str(path)!r}"
    check_precision(header, precision, path)
    parts = read_carried(proto)
    del proto
    plain = _plain(header, parts, where)
    texts = None
    if header.labels and TEXTS in parts:
        texts = TextEmbeddings(parts[TEXTS], torch.arange(len(header.labels)), header.labels)
    clip = ExportedClip(plain.clip, header, list(tower_places(header, plain.config, parts, on_progress)))
    given = example(plain, header.inputs, header.sizes, 1)
    return ExportedModel(path, header, plain, clip, Session(path, device, given, (WORDS, ROWS, EXPONENTS)), texts)


def _plain(header: Header, parts: Mapping[str, Tensor], where: str) -> Model:
    """Return a model of the file's configuration with the carried tensors alone; the others have no numbers."""
    family = FAMILIES[header.family]
    try:
        config = sound_config(family.config, header.config, where)
        with torch.device("meta"):
            model = family.build(config, header.name)
        replace_linears(model)
        model.load_state_dict({n: x for n, x in parts.items() if n in model.state_dict()}, strict=False, assign=True)
    except InputError:
        raise
    except Exception as error:  # whatever a stranger's configuration does
        raise InputError(f"{where}: its configuration makes no model ({line_of(error)}); export it again") from error
    return model.eval().requires_grad_(False)
