"""A trained model as a traced graph: its formats, and its check."""
