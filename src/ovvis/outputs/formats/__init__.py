"""One file a format, with the same two functions: write and read."""
