"""Mail goes out by name: `send("offer", to, {...}, key="offer:41")` writes it down, and a job delivers it.

A message is three templates, `emails/<name>.subject.txt`, `.txt` and `.html`, rendered when it is written, so that it
tells what was true then. Its Message-ID is made from its row: a repeat after a crash carries the same one.
"""

import re
from collections.abc import Mapping
from email.header import Header
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template import Context, Template
from django.template.loader import get_template
from django.utils.crypto import salted_hmac

from . import outbox
from .models import Outbox
from .text import one_line

_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,70}")


def send(
    name: str, to: str, context: Mapping[str, object], *, key: str, headers: Mapping[str, str] | None = None
) -> None:
    """Write the message `name` to one address, to be sent once the caller's transaction is committed.

    `key` names the event told of: the same key again writes nothing. Raises ValueError for a header name that is none.
    """
    words = {**context, "project_name": settings.PROJECT_NAME, "site_url": settings.SITE_URL}
    message = EmailMultiAlternatives(
        subject=_render(f"emails/{name}.subject.txt", words),
        body=_render(f"emails/{name}.txt", words).strip() + "\n",
        to=[to],
        headers=dict(headers or {}),
    )
    message.attach_alternative(_render(f"emails/{name}.html", words), "text/html")
    enqueue_message(message, key=key)


def enqueue_message(message: EmailMessage, *, key: str) -> None:
    """Write a message that others have put together, such as allauth's own. Attachments, cc and bcc are not kept."""
    alternatives = getattr(message, "alternatives", None) or []
    payload: dict[str, object] = {
        "to": [one_line(address) for address in message.to],
        "from": one_line(message.from_email or settings.DEFAULT_FROM_EMAIL),
        "subject": one_line(message.subject),
        "text": str(message.body).replace("\0", ""),
        "html": next((str(content) for content, kind in alternatives if kind == "text/html"), "").replace("\0", ""),
        "headers": {_header_name(header): one_line(value) for header, value in message.extra_headers.items()},
    }
    outbox.put("mail", payload, key=key)


def deliver(row: Outbox) -> None:
    """Hand one written message to the mail server. Raises what the server or the connection raises."""
    payload: dict[str, Any] = row.payload
    message = EmailMultiAlternatives(
        subject=_as_written(payload["subject"]),
        body=payload["text"],
        from_email=payload["from"],
        to=payload["to"],
        headers={
            **payload["headers"],
            "Message-ID": message_id(row),
            "Date": format_datetime(row.created_at),
            # So that out-of-office programs and other ticket systems do not answer (RFC 3834).
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    if payload["html"]:
        message.attach_alternative(payload["html"], "text/html")
    message.send()


def message_id(row: Outbox) -> str:
    """The same for every attempt at a row, and not to be guessed, so that a reply that names it can be believed."""
    proof = salted_hmac("aegir_support.mail", f"{row.pk} {row.key}", algorithm="sha256").hexdigest()[:20]
    return f"<outbox-{row.pk}.{proof}@{urlsplit(settings.SITE_URL).hostname or 'localhost'}>"


def _render(path: str, words: dict[str, object]) -> str:
    template: Template = get_template(path).template  # type: ignore[attr-defined]
    # Plain text has no markup to protect: "Tom & Jerry" must not arrive as "Tom &amp; Jerry".
    return template.render(Context(words, autoescape=path.endswith(".html")))


def _as_written(subject: str) -> str:
    # Whoever reads a mail decodes "=?utf-8?q?=0D=0A?=", so words that look encoded are sent encoded once more.
    return Header(subject, "utf-8").encode(linesep="") if "=?" in subject else subject


def _header_name(name: str) -> str:
    # Django refuses a line break in a header's value, but not in its name.
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a header.")
    return name
