"""K-means in torch: full batches, any number of processes, a stated rule for empty clusters."""
