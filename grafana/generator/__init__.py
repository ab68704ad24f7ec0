"""The dashboards as data: `python -m generator` writes them as the classic JSON that Grafana provisions."""
