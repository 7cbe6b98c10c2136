"""What a person takes away, whole or not at all."""
