"""Pictures of results: palettes, masks, sheets, charts."""
