"""Images of results: palettes, masks, sheets, charts."""
