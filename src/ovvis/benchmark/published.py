"""What authors published of their networks' size and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A line of OVFormer's Table 4."""

    parameters: float  # millions
    operations: float  # thousands of millions; a multiplication with its addition is one


SIZE = (800, 1333)  # height and width that the table states
OVFORMER = {
    "backbone": Published(23.5, 71.3),
    "pixel decoder": Published(6.0, 121.0),  # "encoder"
    "query decoder": Published(14.5, 25.3),  # "decoder"
    "class head": Published(1.2, 0.1),  # "alignment"
}
TABLES = {"ovformer-r50": OVFORMER, "ovformer-r50-lvis": OVFORMER}

WHY = (
    "OVFormer's Table 4 counts a multiplication with its addition as one, and so do these columns. Its program takes "
    "the mean over a dataset's images, whose short edge is 800 and of which few are 1,333 wide: the columns 'at "
    "800x1088' are of LVIS' commonest shape (640x480). Its decoder makes masks of full size after each of nine layers; "
    "ours makes them at the size of the attention and once in full, which is the column 'with all masks'. It counts "
    "no samples of deformable attention, and neither do these columns."
)
"""Why the numbers differ, for whoever reads both."""
