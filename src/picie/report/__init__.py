"""Pictures of results: palettes, overlays, sheets."""
