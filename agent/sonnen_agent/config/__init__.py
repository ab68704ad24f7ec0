"""The config file: what it may say, and its secrets."""
