"""What a model said of a dataset, on disk."""
