"""Other exporters on this machine, whose pages are pushed along."""
