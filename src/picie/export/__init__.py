"""Export masks to formats of other tools, and models to files that run without picie."""
