"""The verbs of the command line, one module each; `arguments` says what they take."""
