"""Evaluation of a model: against labels, by probes, and without labels."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
