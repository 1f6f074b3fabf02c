"""From logits to masks: boundary refinement, upsampling, tiling of large images."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
