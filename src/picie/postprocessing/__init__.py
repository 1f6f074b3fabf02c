"""From logits to masks: refined boundaries, upsampling, tiles of large images."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
