"""Synthetic scenes with ground truth: streets, fields, water, buildings."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
