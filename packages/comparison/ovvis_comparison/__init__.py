"""Holds weights: `ovvis` looks for them here."""
