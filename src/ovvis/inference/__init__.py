"""From frames to tracks."""
