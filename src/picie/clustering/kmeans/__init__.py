"""K-means in torch: full batches, any number of processes, a defined rule for empty clusters."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
