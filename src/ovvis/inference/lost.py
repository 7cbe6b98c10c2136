"""The error of who follows a video from files that are not what they must be; apart from what needs PyTorch."""

from ovvis.errors import InputError


class LostWindowsError(InputError):
    """A file of windows is gone, not as it was written, or of something else."""
