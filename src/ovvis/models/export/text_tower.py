"""What reads words for an exported file: its tokenizer at once, its weights when a word is to be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from safetensors import safe_open
from torch import Tensor

from ovvis.errors import InputError, OvvisError
from ovvis.models.clip import TEXTS_AT_ONCE, FrozenClip
from ovvis.models.download import Progress
from ovvis.models.export.carried import is_tower
from ovvis.models.export.header import Header
from ovvis.models.own_clip import pretrained_clip
from ovvis.models.places import weights_path
from ovvis.models.settings import FamilyConfig
from ovvis.models.torch_file import line_of
from ovvis.models.zoo import ZOO

_log = logging.getLogger(__name__)


class ExportedClip:
    """The text side of the CLIP that a file was exported with.

    The text tower is what the file itself carries, or the same tower from the package, from the model's own weights
    here, or from where the CLIP's weights are fetched. It must be the one that the model was exported with: others
    place words elsewhere, and names would be wrong without a word.

    Args:
        clip: of the right architecture, on no device.
        header: what the file says.
        places: where to look, in order, each a name for a message and what gives tensors under our names.
    """

    def __init__(
        self,
        clip: FrozenClip,
        header: Header,
        places: Sequence[tuple[str, Callable[[], Mapping[str, Tensor]]]],
    ) -> None:
        self._clip, self._header, self._places = clip, header, tuple(places)
        self._found = False

    @property
    def width(self) -> int:
        """Width E of the space that images and texts share."""
        return self._clip.width

    @property
    def logit_scale(self) -> float:
        """The factor from cosine to logit."""
        return self._header.logit_scale

    def text_fingerprint(self) -> str:
        """Return the hash of the text tower's weights, as `FrozenClip` does."""
        return self._header.text_tower

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, without the start and end marks."""
        return self._clip.count_tokens(text)

    def check_length(self, label: str, prompt: str) -> None:
        """Refuse a label that the tower would cut, as `FrozenClip` does."""
        self._clip.check_length(label, prompt)

    def embed_texts(
        self, texts: Sequence[str], batch: int = TEXTS_AT_ONCE, on_batch: Callable[[int], None] | None = None
    ) -> Tensor:
        """Return the embeddings of texts, (len(texts), E), float32, not normalised, as `FrozenClip` does.

        Raises:
            InputError: the text tower is not here and cannot be had.
        """
        if not self._found:
            self._find()
        return self._clip.embed_texts(texts, batch, on_batch)

    def _find(self) -> None:
        reasons = []
        for name, give in self._places:
            try:
                state = give()
            except OvvisError as error:
                reasons.append(f"{name}: {error}")
                continue
            tower = {key.removeprefix("clip.model."): x.float() for key, x in state.items() if is_tower(key)}
            if not tower:
                continue
            if self._take(tower):
                self._found = True
                return
            reasons.append(f"{name}: it holds another tower")
        for reason in reasons:
            _log.warning("%s", reason)
        raise InputError(
            f"words for {self._header.name} are read by the text tower of CLIP {self._clip.name} that it was exported "
            "with, which is not here; give --text-embeddings of your labels, or export it again with --text-tower"
        )

    def _take(self, tower: Mapping[str, Tensor]) -> bool:
        """Take weights, if they are the right ones."""
        model = self._clip.model
        try:
            model.load_state_dict(tower, strict=False, assign=True)
            if self._clip.text_fingerprint() != self._header.text_tower:
                return False
        except (RuntimeError, NotImplementedError) as error:  # other shapes; a tensor that is not there
            _log.info("%s", line_of(error))
            return False
        # No weight, so it is in no file: each token sees those before it.
        size = model.context_length
        model.attn_mask = torch.full((size, size), -torch.inf).triu(1)
        self._clip.requires_grad_(False)
        return True


def tower_places(
    header: Header, config: FamilyConfig, carried: Mapping[str, Tensor], on_progress: Progress | None
) -> Iterator[tuple[str, Callable[[], Mapping[str, Tensor]]]]:
    """Yield where a file's text tower may be, the nearest first."""
    yield "the file itself", lambda: carried
    entry = ZOO.get(header.name)
    if entry is not None and (path := weights_path(entry)).is_file():

        def own() -> dict[str, Tensor]:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys() if is_tower(name)}  # noqa: SIM118

        yield f"the weights of {header.name}", own
    yield f"CLIP {config.clip}", lambda: pretrained_clip(config, on_progress)
