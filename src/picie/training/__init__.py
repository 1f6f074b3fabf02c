"""Training: the loop, the targets of an epoch, its steps, and what is kept of it."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
