"""Visualisation of results: palettes, masks, sheets, charts."""
