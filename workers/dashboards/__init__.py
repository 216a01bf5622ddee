"""The dashboards of Grafana, written from one list of questions and queries."""
