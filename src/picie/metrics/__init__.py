"""Clusters against labels: counts, matching, scores, groups of classes, intervals, probes."""
