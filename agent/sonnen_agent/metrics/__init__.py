"""From rows to metric families and pages; the rows themselves stand at the fields that they show."""
