"""Reads a Sonnen home battery and pushes what it says to a Prometheus Pushgateway."""
