"""Clusters against labels: counts, matching, scores, groups of classes, confidence intervals."""
