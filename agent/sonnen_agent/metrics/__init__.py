"""From snapshots to metric families: the only place that knows a metric's name."""
