"""Notifying: the coordinator's loop that tells whom it concerns, and the ways it has."""

from pathlib import Path

from fleetjobs.clocks import now, patience
from fleetjobs.coordinator.lead import Lead
from fleetjobs.coordinator.notifier import Notifier, Way
from fleetjobs.errors import InvalidNotification, InvalidSetting
from fleetjobs.notices import Kind, read_sink
from fleetjobs.programs.settings import CoordinatorSettings
from fleetjobs.sinks.mail import Mailer
from fleetjobs.sinks.webhook import Poster
from fleetjobs.store.bells import NOTICES, Listener
from fleetjobs.store.database import Database

NOTIFY_EVERY_S = 15.0  #: whether a job takes too long is looked at so often


class Notifying:
    """Tell whom it concerns, if we lead; wait for a bell, or for what has to be tried again."""

    def __init__(self, database: Database, notifier: Notifier, lead: Lead) -> None:
        self._database = database
        self._notifier = notifier
        self._lead = lead
        self._listener: Listener | None = None

    def step(self) -> None:
        """Listen first, then look: what is to be told in between rings."""
        if self._listener is None:
            self._listener = self._database.listen(NOTICES)
        while self._lead.is_ours and self._notifier.step():
            pass
        next_at = self._notifier.next_at() if self._lead.is_ours else None
        left = (next_at - now()).total_seconds() if next_at else NOTIFY_EVERY_S
        self._listener.wait(patience(min(max(left, 0.0), NOTIFY_EVERY_S)))

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()


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
