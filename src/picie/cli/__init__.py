"""The command line: one module a verb; `arguments` says what they take."""
