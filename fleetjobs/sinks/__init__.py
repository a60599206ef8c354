"""Sinks: where notices go: mail and webhooks."""
