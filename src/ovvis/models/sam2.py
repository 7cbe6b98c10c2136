"""Masks carried on by SAM 2 (N. Ravi et al., 2024; Apache-2.0), as the package `transformers` has it: an extra."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ovvis import masks
from ovvis.errors import ResourceError
from ovvis.masks import Rle

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images, in [0, 1]
_REMEMBERED = 16  # frames whose outputs the model may ask for: its object pointers
_OBJECT = 0


class Sam2Propagator:
    """Carries masks on by SAM 2's memory; each tube has a memory of its own, all share a frame's features.

    Args:
        model: a `Sam2VideoModel`.
        device: where it lies.
    """

    def __init__(self, model: Any, device: torch.device | str = "cpu") -> None:
        self._model, self._device = model.eval().requires_grad_(False).to(device), torch.device(device)
        self._session: Any = import_module(
            "transformers.models.sam2_video.modeling_sam2_video"
        ).Sam2VideoInferenceSession
        self._sessions: dict[int, Any] = {}
        self._frame, self._size = -1, (0, 0)
        self._pixels: Tensor | None = None
        self._carried: dict[int, Rle] = {}  # in this frame
        self._shared: Any = None  # features of the frame

    @torch.no_grad()
    def carry(self, image: NDArray[np.uint8]) -> dict[int, Rle]:
        """Return where the remembered tubes are in the next frame; see `tracking.propagate.Propagator`."""
        self._frame += 1
        self._size = (image.shape[0], image.shape[1])
        side = self._model.image_size
        pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 255
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False, antialias=True)
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (_MEAN, _STD))
        self._pixels = given = (pixels - mean) / std
        found: dict[int, Rle] = {}
        for tube, session in self._sessions.items():
            self._clear(session)
            seen = self._model(inference_session=session, frame=given, frame_idx=self._frame)
            if float(seen.object_score_logits.max()) > 0 and (mask := self._drawn(seen.pred_masks)) is not None:
                found[tube] = mask
        self._carried = found
        return found

    @torch.no_grad()
    def remember(self, known: Mapping[int, Rle]) -> None:
        """Take what is true of tubes in this frame: what was detected replaces what the model saw."""
        side = self._model.image_size
        for tube, mask in known.items():
            if self._carried.get(tube) is mask:
                continue  # which it remembers already
            session = self._sessions.get(tube) or self._begin(tube)
            drawn = torch.from_numpy(np.ascontiguousarray(masks.decode(mask))).float()[None, None]
            drawn = F.interpolate(drawn, (side, side), mode="bilinear", align_corners=False, antialias=True) >= 0.5
            session.add_mask_inputs(_OBJECT, self._frame, drawn.float())
            session.obj_with_new_inputs = [tube]
            self._model(inference_session=session, frame_idx=self._frame)
            session.remove_mask_inputs(_OBJECT, self._frame)

    def forget(self, tubes: Collection[int]) -> None:
        """Drop tubes."""
        for tube in tubes:
            self._sessions.pop(tube, None)

    def reset(self) -> None:
        """Forget everything."""
        self._sessions, self._carried, self._frame, self._size = {}, {}, -1, (0, 0)
        self._pixels = self._shared = None

    def _begin(self, tube: int) -> Any:
        session = self._session(
            video_height=self._size[0],
            video_width=self._size[1],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )
        self._shared = self._shared or session.cache  # of the frame's features, which are the same for all
        session.cache = self._shared
        session.add_new_frame(self._pixels, self._frame)
        session.obj_id_to_idx(tube)
        self._sessions[tube] = session
        return session

    def _clear(self, session: Any) -> None:
        """Drop what the model will not ask for again: pictures, and outputs of frames long gone."""
        session.processed_frames = None
        outputs = session.output_dict_per_obj[_OBJECT]["non_cond_frame_outputs"]
        for frame in [frame for frame in outputs if frame < self._frame - _REMEMBERED]:
            del outputs[frame]
        for kept in session.output_dict_per_obj[_OBJECT].values():
            for output in kept.values():
                output.pop("high_res_masks", None)  # megabytes, for the memory of its own frame alone
        tracked = session.frames_tracked_per_obj[_OBJECT]
        for frame in [frame for frame in tracked if frame < self._frame - _REMEMBERED]:
            del tracked[frame]

    def _drawn(self, logits: Tensor) -> Rle | None:
        full = F.interpolate(logits.float().flatten(0, -3)[None], self._size, mode="bilinear", align_corners=False)[
            0, 0
        ]
        mask = (full > 0).cpu().numpy()
        return masks.encode(mask) if mask.any() else None


def load_sam2(repository: str, device: torch.device | str = "cpu") -> Sam2Propagator:
    """Return SAM 2 with its weights, which the Hub's own client fetches once.

    Args:
        repository: on the Hugging Face Hub.
        device: where it is to lie.

    Raises:
        ResourceError: the package is missing, or the weights are not here and cannot be fetched.
    """
    try:
        kind: Any = import_module("transformers").Sam2VideoModel
    except ImportError as error:
        raise ResourceError(
            "SAM 2 carries masks on with the package transformers, which is not installed: pip install 'ovvis[sam2]', "
            "or ask for the propagator colours"
        ) from error
    try:
        model = kind.from_pretrained(repository)
    except OSError as error:
        raise ResourceError(
            f"the weights of {repository} are not here and cannot be fetched ({str(error).splitlines()[0][:120]}): "
            "connect to the network once, or ask for the propagator colours"
        ) from error
    return Sam2Propagator(model, device)
