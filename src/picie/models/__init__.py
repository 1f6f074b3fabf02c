"""Backbone, feature pyramid, and the network that joins them with its centroids."""
