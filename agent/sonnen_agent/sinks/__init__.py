"""Where snapshots go: each sink delivers, or says why not."""
