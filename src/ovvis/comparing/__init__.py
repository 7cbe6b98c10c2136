"""Results of one video side by side: how they differ, where most, and how that looks."""
