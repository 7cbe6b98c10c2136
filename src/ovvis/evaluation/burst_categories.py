"""Which of BURST's categories the authors' program leaves out, and which it counts as one.

Both lists are those of burstapi/thirdparty/trackeval (https://github.com/Ali2500/BURST-benchmark), by name: numbers
differ between files.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovvis.evaluation.records import Category

# fmt: off
DISTRACTORS = frozenset((
    "armchair", "basketball", "black_sheep", "cab_(taxi)", "calf", "canoe", "railcar_(part_of_a_train)",
    "chicken_(animal)", "convertible_(automobile)", "drone", "duck", "eagle", "garbage_truck",
    "glass_(drink_container)", "goat", "goose", "grocery_bag", "helicopter", "heron", "polar_bear",
    "magazine", "mattress", "minivan", "motor_scooter", "mug", "notebook", "notepad", "penguin",
    "pickup_truck", "pigeon", "pitcher_(vessel_for_liquid)", "plate", "pot", "racket", "rag_doll",
    "plastic_bag", "shoulder_bag", "sieve", "toy", "dirt_bike", "trailer_truck", "volleyball",
    "water_bottle", "wooden_spoon", "monitor_(computer_equipment) computer_monitor",
))
# fmt: on
"""Their truths are taken away before anything else; results of theirs count for nothing but the limit of a frame."""

MERGED = {
    "glass_(drink_container)": "cup",
    "mug": "cup",
    "plastic_bag": "grocery_bag",
    "shopping_bag": "grocery_bag",
    "cap_(headwear)": "hat",
    "bristle_brush": "scrubbing_brush",
    "walking_cane": "walking_stick",
}
"""What counts as what."""


class BurstCategories:
    """A dataset's categories as the authors' program takes them.

    Args:
        categories: the dataset's.
    """

    def __init__(self, categories: Sequence[Category]) -> None:
        ids = {category.name: category.id for category in categories}
        self.distractors = frozenset(ids[name] for name in DISTRACTORS & ids.keys())
        self._merged = {ids[a]: ids[b] for a, b in MERGED.items() if a in ids and b in ids}

    def counted_as(self, category: int) -> int:
        """Return the id of the category that a track of another counts in."""
        return self._merged.get(category, category)
