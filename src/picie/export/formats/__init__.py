"""One module for each form of masks that other tools open."""
