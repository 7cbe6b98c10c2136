"""The papers' ablations on the project's own world, as data, and what measures them."""
