"""The same four-level feature pyramid from every image encoder."""
