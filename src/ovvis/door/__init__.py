"""Pages that this machine gives out: where they are found, and who may come in. Used by all of them."""
