"""What a model costs on this machine: seconds, memory, operations; and whether that has changed."""
