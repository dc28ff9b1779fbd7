from __future__ import annotations

import uuid
from typing import Any, Self, cast

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from aegir_support import files
from aegir_support.fields import LineField, WordsField
from aegir_support.files import NamedFile
from aegir_support.uploads import OVER_CEILING, FilesField, Limits
from billing.entitlements import Entitlement
from billing.models import Channel, Client, Server, Severity, Tier
from members.models import Member

from .actions import Filing
from .models import Ticket

# Channels by which a ticket is filed here; the forum has no private tickets, and mail comes in by mail.
FILED_HERE = [Channel.PORTAL, Channel.SSH, Channel.PHONE, Channel.EMERGENCY]

CHANNEL_MEANINGS = {
    Channel.PORTAL: _("We answer here and by mail."),
    Channel.SSH: _("You let us log in to the server, for this ticket only."),
    Channel.PHONE: _("We call you."),
    Channel.EMERGENCY: _("Somebody on call is woken up."),
}
VERDICT_MEANINGS = {
    Ticket.Verdict.IN_SCOPE: _("Core or golden contrib. It uses one ticket of the client’s allowance."),
    Ticket.Verdict.OUT_OF_SCOPE: _("Other contrib or custom work. It uses none, and can be referred to somebody."),
    Ticket.Verdict.DEFECT: _("A fault of ours. It uses none."),
    Ticket.Verdict.WISH: _("Something new. It uses none."),
    Ticket.Verdict.QUESTION: _("About invoices or terms. It uses none."),
    Ticket.Verdict.DUPLICATE: _("Another ticket covers it. It uses none."),
}


class KeyedForm(forms.Form):
    """A form that carries its own key, so that posting it twice does once what it asks for, and files.

    `tier` says how many files and how large; an answer to a request is made with `posted`.
    """

    key = forms.UUIDField(widget=forms.HiddenInput)
    attachments = FilesField()

    def __init__(self, *args: Any, tier: Tier | None, **options: Any) -> None:
        options["initial"] = {"key": uuid.uuid4(), **(options.get("initial") or {})}
        super().__init__(*args, **options)
        if tier is not None:
            cast(FilesField, self.fields["attachments"]).limit(
                Limits.of(files=tier.files_per_message, file_mb=tier.file_mb, message_mb=tier.message_mb)
            )

    @classmethod
    def posted(cls, request: HttpRequest, **options: Any) -> Self:
        """The form as it was sent."""
        form = cls(request.POST, request.FILES, **options)
        cast(FilesField, form.fields["attachments"]).over_ceiling = OVER_CEILING in request.META
        if form.had_files:
            for field in form.fields.values():
                if isinstance(field, WordsField):
                    field.error_messages["required"] = _("Say in a few words what the files are.")
        return form

    @property
    def had_files(self) -> bool:
        """Files came with it, which a browser forgets when the form comes back."""
        return any(self.files.getlist("attachments")) if self.is_bound and self.files else False

    def kept_files(self) -> list[NamedFile]:
        """The files of a valid form, kept; called before the transaction that attaches them."""
        return files.store_all(self.cleaned_data["attachments"])


class FilingForm(KeyedForm):
    """What a client says when filing; choices are what the client's tier has."""

    subject = LineField(label=_("In a few words"), max_length=200)
    description = WordsField(label=_("What happens, and what should happen?"))
    severity = forms.TypedChoiceField(
        label=_("How bad is it?"), choices=Severity, coerce=int, initial=Severity.S3, widget=forms.RadioSelect
    )
    channel = forms.ChoiceField(label=_("How shall we work with you?"), widget=forms.RadioSelect)
    server = forms.ModelChoiceField(
        label=_("Which server?"), queryset=Server.objects.none(), required=False, empty_label=_("None in particular")
    )

    def __init__(self, *args: Any, client: Client, entitlement: Entitlement, **options: Any) -> None:
        tier = entitlement.subscription.tier if entitlement.subscription else None
        super().__init__(*args, tier=tier, **options)
        channels = [channel for channel in FILED_HERE if channel in entitlement.channels]
        channel = cast(forms.ChoiceField, self.fields["channel"])
        server = cast("forms.ModelChoiceField[Server]", self.fields["server"])
        channel.choices = [(each.value, each.label) for each in channels]
        channel.initial = Channel.PORTAL
        server.queryset = Server.objects.of(client)

    def filing(self) -> Filing:
        """What was filed; its files are kept by this."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "attachments"}
        return Filing(**said, files=self.kept_files())


class MessageForm(KeyedForm):
    """Words on a ticket."""

    body = WordsField(label=_("Your words"))


class ReplyForm(MessageForm):
    wait = forms.BooleanField(label=_("I need an answer before I can go on"), required=False)


class JudgeForm(forms.Form):
    verdict = forms.ChoiceField(
        label=_("Does it count?"),
        choices=[choice for choice in Ticket.Verdict.choices if choice[0] != Ticket.Verdict.WITHDRAWN],
        widget=forms.RadioSelect,
    )


class RefuseForm(forms.Form):
    reason = LineField(label=_("Reason, if you like"), max_length=200, required=False)


class HandOverForm(forms.Form):
    to = forms.ModelChoiceField(label=_("To"), queryset=Member.objects.none())

    def __init__(self, *args: Any, besides: Member, **options: Any) -> None:
        super().__init__(*args, **options)
        to = cast("forms.ModelChoiceField[Member]", self.fields["to"])
        to.queryset = Member.objects.active().exclude(pk=besides.pk)
