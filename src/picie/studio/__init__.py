"""The studio: a local page on which a person names, corrects, checks and exports (picie studio)."""
