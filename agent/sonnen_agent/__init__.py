"""sonnen-agent: pushes a Sonnen home battery's readings to a Prometheus Pushgateway."""

__version__ = "0.1.0"
