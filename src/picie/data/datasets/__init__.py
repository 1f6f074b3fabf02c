"""Known data sets, one module per family: trees, label maps, class names, splits."""
