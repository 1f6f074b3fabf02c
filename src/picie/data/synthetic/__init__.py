"""Drawn scenes with their truth: streets, fields, water, towns."""
