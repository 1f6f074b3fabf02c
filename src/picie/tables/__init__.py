"""Tables and curves of benchmarks, as Markdown and as one HTML page."""
