"""One engine for the training of every family, on images and on videos."""
