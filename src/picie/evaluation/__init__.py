"""How good a model is: against labels, by probes, and without labels."""
