"""Coordinator: hands runs to the broker, takes the replies, ends what is overdue."""
