"""What a browser shows, served from this machine: the page (a video and words in, results out), and live pictures."""
