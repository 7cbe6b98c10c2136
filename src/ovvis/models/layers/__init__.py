"""The small parts that the networks are made of."""
