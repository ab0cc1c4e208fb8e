"""What operators see with: Prometheus, Alertmanager, dashboards, objectives."""
