"""Protocols: how programs are called and heard, by the provider of their agent."""
