"""What has to survive: the checkpoint of the counters, and the ledger of finished days.

    state directory ──read at start──▶ StateStore ──▶ SharedMeters (one per battery)
          ▲                                               │
          └── Checkpoint: every minute and at a stop ─────┴── Ledger: a line per finished day

Nobody else writes into the folder while its lock is held. A file that cannot be read is set
aside under another name and never overwritten.
"""
