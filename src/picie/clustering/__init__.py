"""K-means on pixel features, and pseudo-labels from its centroids."""
