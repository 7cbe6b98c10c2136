"""What any detector found in a video, frame by frame: read, followed, named."""
