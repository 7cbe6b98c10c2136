"""A prediction and its truth become a number."""
