"""Broker: carry parcels to nodes and replies back, over RabbitMQ or Redis, by Celery and kombu."""
