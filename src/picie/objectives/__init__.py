"""Training objectives: pure functions from features and labels to a loss."""
