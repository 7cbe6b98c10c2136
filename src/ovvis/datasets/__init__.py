"""What is true of videos, read from files."""
