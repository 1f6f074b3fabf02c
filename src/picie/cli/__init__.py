"""The command line: one module a verb; `arguments` says what they take."""

from picie.runtime.moved import forwarding

__getattr__ = forwarding(__name__)
