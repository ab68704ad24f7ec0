"""Draws dashboards from their JSON and a Prometheus, roughly as Grafana would."""
