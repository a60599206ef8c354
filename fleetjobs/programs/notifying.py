"""Notifying: the ways by which the coordinator tells whom it concerns, by its settings."""

from pathlib import Path

from fleetjobs.coordinator.notifier import Way
from fleetjobs.errors import InvalidNotification, InvalidSetting
from fleetjobs.notices import Kind, read_sink
from fleetjobs.programs.settings import CoordinatorSettings
from fleetjobs.sinks.mail import Mailer
from fleetjobs.sinks.webhook import Poster


def ways(settings: CoordinatorSettings) -> dict[Kind, Way]:
    """How mail and webhooks go. Raises InvalidSetting."""
    password, key = settings.smtp_password, settings.webhook_key
    try:
        for sink in settings.admins:
            read_sink(sink)
    except InvalidNotification as error:
        raise InvalidSetting(f"admins: {error}") from None
    return {
        Kind.MAIL: Mailer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            tls=settings.smtp_tls,
            user=settings.smtp_user,
            password="" if password is None else _secret(password),
        ),
        Kind.WEBHOOK: Poster(
            key=None if key is None else _secret(key).encode(),
            forbidden=settings.webhook_forbidden,
        ),
    }


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSetting(f"{path}: cannot be read: {error.strerror}") from None
