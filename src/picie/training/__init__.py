"""Training: the loop, the targets of an epoch, its steps, and what is kept of it."""
