"""Datasets: what is annotated in them, where they lie, and what training draws from them."""
