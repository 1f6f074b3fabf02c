"""Export a trained model as a traced graph, and check the file."""
