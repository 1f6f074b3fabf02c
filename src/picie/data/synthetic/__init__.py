"""Drawn scenes with their truth: streets, fields, water, towns."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
