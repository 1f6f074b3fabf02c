"""From images in any form to masks: one image, a batch, a folder; models on the Hub."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
