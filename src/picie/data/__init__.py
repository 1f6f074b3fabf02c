"""Folders of photos, labels, known data sets, and what reads them."""
