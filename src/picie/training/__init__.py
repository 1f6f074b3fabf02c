"""Training: the loop, targets of an epoch, steps, checkpoints, validation, tracking."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
