"""One module for each export format of masks."""
