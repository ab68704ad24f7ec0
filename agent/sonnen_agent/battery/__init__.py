"""Asks a battery over its local HTTP API, and understands its answers."""
