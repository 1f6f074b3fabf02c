"""Known data sets, one module per family: folder layouts, label maps, class names, splits."""
