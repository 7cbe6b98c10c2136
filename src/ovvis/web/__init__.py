"""The page: what a browser shows, served from this machine."""
