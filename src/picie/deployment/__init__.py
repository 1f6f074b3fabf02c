"""A trained model in files that need no picie: a traced graph, its formats, and its check."""
