"""Training objectives: pure functions of features (or logits) and labels that return a loss."""
