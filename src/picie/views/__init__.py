"""Photometric and geometric transforms, drawn apart from being applied."""
