"""E-mail by SMTP, with TLS from the start (port 465) or by STARTTLS."""

from __future__ import annotations

import html
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

from llmops_sdk.collect._access import is_loopback
from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring.notify._message import Message, batch_id, cut, facts, title
from llmops_sdk.monitoring.notify._sender import TIMEOUT, from_environment

__all__ = ["EmailSender", "email_of"]

_SUBJECT = 200
_LISTED = 200
_IMPLICIT_TLS = 465
# What a server knows us by; the machine's full name may take a resolver seconds to find.
_LOCAL_NAME = "[127.0.0.1]"
_MESSAGE_IS_BAD = frozenset({550, 551, 552, 553, 554})


class EmailSender:
    """Sends one mail for each message or digest.

    Args:
        name: The notifier's name.
        settings: Its settings.
        timeout: Seconds for each step of the conversation.
    """

    pause = 0.0

    def __init__(self, name: str, settings: NotifierSettings, timeout: float = TIMEOUT) -> None:
        self._name = name
        self._settings = settings
        self._timeout = timeout

    def send(self, batch: Sequence[Message]) -> None:
        """Send one mail to all addresses."""
        settings = self._settings
        sender, to = self._address(settings.sender or ""), [self._address(one) for one in settings.to]
        if not settings.tls and not is_loopback(settings.host or ""):
            raise NotifierError(
                f"[notify.{self._name}] tls = false is for a server on this machine only: remove it",
                notifier=self._name,
            )
        password = None
        if settings.password_env is not None:
            password = from_environment(self._name, settings.password_env)
        mail = email_of(batch, sender, to)
        try:
            with self._connect() as server:
                if settings.username is not None:
                    server.login(settings.username, password or "")
                server.send_message(mail, from_addr=sender, to_addrs=to)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._error(error) from None

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        host = settings.host or ""
        context = ssl.create_default_context() if settings.tls else None
        if settings.tls and settings.port == _IMPLICIT_TLS:
            return smtplib.SMTP_SSL(
                host, settings.port, local_hostname=_LOCAL_NAME, timeout=self._timeout, context=context
            )
        server = smtplib.SMTP(host, settings.port, local_hostname=_LOCAL_NAME, timeout=self._timeout)
        if settings.tls:
            try:
                # Raises if the server does not offer it: nothing is sent in the clear.
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server

    def _address(self, text: str) -> str:
        if not text.isascii() or not text.isprintable() or " " in text or text.count("@") != 1:
            raise NotifierError(
                f"[notify.{self._name}] has an address that is not of the form name@host: correct `to` and `sender`",
                notifier=self._name,
            )
        return text

    def _error(self, error: Exception) -> NotifierError:
        """Return the error without the server's text, which may repeat what was sent."""
        permanent = False
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = [code for code, _ in error.recipients.values()]
            what = f"refused every address (status {codes[0]})"
            permanent = all(code in _MESSAGE_IS_BAD for code in codes)
        elif isinstance(error, smtplib.SMTPResponseException):
            what = f"answered with status {error.smtp_code}"
            permanent = isinstance(error, smtplib.SMTPDataError) and error.smtp_code in _MESSAGE_IS_BAD
        elif isinstance(error, smtplib.SMTPNotSupportedError):
            what = "does not offer STARTTLS or a way to log in that is known here"
        elif isinstance(error, ssl.SSLCertVerificationError):
            what = f"has a certificate that is not valid: {error.verify_message}"
        elif isinstance(error, TimeoutError):
            what = f"did not answer within {self._timeout:g} seconds"
        else:
            what = f"could not be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
        return NotifierError(
            f"the mail server of [notify.{self._name}] {what}", notifier=self._name, permanent=permanent
        )


def email_of(batch: Sequence[Message], sender: str, to: Sequence[str]) -> EmailMessage:
    """Return a mail with the alert as text and as HTML.

    Args:
        batch: The messages, oldest first.
        sender: The address that it comes from.
        to: The addresses.
    """
    head = cut(title(batch), _SUBJECT)
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["Subject"] = head
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(batch[-1].notification.time, UTC))
    # The same for every try: mail programs show a repeated mail once.
    mail["Message-ID"] = f"<{batch_id(batch)}@llmops.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    rows = _rows(batch)
    mail.set_content("\n".join([head, "", *(f"{name}: {value}" if name else value for name, value in rows), ""]))
    cells = "".join(
        f"<tr><th align=left>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n" for name, value in rows
    )
    mail.add_alternative(
        f'<!doctype html>\n<meta charset="utf-8">\n<h1>{html.escape(head)}</h1>\n<table>\n{cells}</table>\n',
        subtype="html",
    )
    return mail


def _rows(batch: Sequence[Message]) -> list[tuple[str, str]]:
    if len(batch) == 1:
        one = batch[0].notification
        return [("Reason", one.reason), *facts(one), *([("SQL", one.sql)] if one.sql else [])]
    rows = [
        (message.notification.rule, f"{message.notification.state} ({message.notification.severity})")
        for message in batch[:_LISTED]
    ]
    return rows + ([("", f"… and {len(batch) - _LISTED} more")] if len(batch) > _LISTED else [])
