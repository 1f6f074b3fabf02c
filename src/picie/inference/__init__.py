"""Prediction: masks of an image, a batch or a folder; models on the Hugging Face Hub."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
