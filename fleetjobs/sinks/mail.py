"""Mail: a notice as a message, handed to a mail server."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from fleetjobs.errors import Undelivered
from fleetjobs.notices import Notice, Tls, subject, text_of

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Hands messages to one mail server."""

    host: str | None  # None: there is none
    port: int
    sender: str
    tls: Tls = Tls.NONE
    user: str = ""
    password: str = ""

    def send(self, address: str, notice: Notice) -> None:
        """Durable at the mail server on return. Raises Undelivered."""
        if self.host is None:
            raise Undelivered("no mail server is set; see `smtp_host` of the coordinator")
        try:
            with self._connect(self.host) as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(make_message(self.sender, address, notice))
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"{self.host}:{self.port}: {error}") from None

    def _connect(self, host: str) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls is Tls.TLS:
            return smtplib.SMTP_SSL(host, self.port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(host, self.port, timeout=TIMEOUT_S)
        if self.tls is Tls.STARTTLS:
            server.starttls(context=context)
        return server


def make_message(sender: str, address: str, notice: Notice) -> EmailMessage:
    """The notice as a message; its id is the same however often it is sent."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = address
    message["Subject"] = " ".join(subject(notice).split())[:200]
    message["Date"] = format_datetime(notice.created_at)
    message["Message-ID"] = f"<{notice.id}@fleetjobs.invalid>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no robot answers
    message["Fleetjobs-Notification"] = notice.id
    message.set_content(text_of(notice.document))
    return message
