"""Names of clusters: the file classes.toml of a run folder."""
