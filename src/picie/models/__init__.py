"""Backbone, feature pyramid, the network that combines them with centroids, models on disk."""
