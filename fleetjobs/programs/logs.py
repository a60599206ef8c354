"""Logs: one line an event on standard error, times in UTC."""

import logging
import time


def set_up_logs(level: str) -> None:
    """Log to standard error from that level on; our libraries from WARNING on."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
    for noisy in ("amqp", "kombu", "celery", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
