"""Anything that shows frames, as frames with an index and a time."""
