"""A draw becomes a batch: what training reads, chooses and changes."""
