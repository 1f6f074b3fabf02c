"""The report of a run: one HTML page of clusters, photos, tree, health and scores."""
