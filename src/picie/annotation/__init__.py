"""What people say about images: the history of a run, its undo, and the cells that marks cover."""
