"""Masks in the forms that other tools open, and the model in files that need no picie."""
