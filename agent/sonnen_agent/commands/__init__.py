"""One module per command; the only place that wires the parts together."""
