"""A ticket from both sides: filing, reading, the conversation, and its end."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parseaddr
from functools import partial
from operator import attrgetter

import structlog
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from aegir_support import text
from aegir_support.calendars import NeverOpen
from aegir_support.paging import Page
from billing.entitlements import ChannelNotIncluded, Entitlement, NothingLeft, entitlement
from billing.models import Contact, Promise, Severity, contact_of
from members.access import signed_in
from members.models import Member

from .. import actions, handout
from ..forms import (
    CHANNEL_MEANINGS,
    VERDICT_MEANINGS,
    FilingForm,
    HandOverForm,
    JudgeForm,
    MessageForm,
    ReplyForm,
)
from ..models import Ticket
from ..page import TicketPage
from ..sla import SEVERITY_MEANINGS, NothingPromised, promises_by_severity
from ..steps import NotNow, NotYours
from .answers import conflict, go_on

log = structlog.get_logger()

PAGE_SIZE = 25
FILTERS = {
    "open": Ticket.objects.unsettled,
    "unassigned": Ticket.objects.unassigned,
    "settled": lambda: Ticket.objects.filter(status__in=[Ticket.Status.SOLVED, Ticket.Status.CLOSED]),
    "all": Ticket.objects.all,
}

# Who may do what on a ticket they see; whether the time is right is the action's to say.
CLIENT = attrgetter("acts_for_client")
ASSIGNEE = attrgetter("is_assignee")
GIVER = attrgetter("gives_back")
WRITER = attrgetter("writes")
MEMBER = attrgetter("may_note")


@require_safe
def ticket_list(request: HttpRequest) -> HttpResponse:
    """The tickets this person may read, latest news first, by pages that cost the same however far one goes."""
    user = signed_in(request)
    if contact_of(user) is None and user.member is None:
        raise PermissionDenied
    chosen = request.GET.get("show", "open")
    chosen = chosen if chosen in FILTERS else "open"
    tickets = FILTERS[chosen]().visible_to(user).for_list()
    page = Page.of(tickets, request.GET, by=["news_at", "number"], size=PAGE_SIZE)
    contact = contact_of(user)
    return render(request, "tickets/ticket_list.html", {"page": page, "chosen": chosen, "contact": contact})


@require_http_methods(["GET", "HEAD", "POST"])
def file_ticket(request: HttpRequest) -> HttpResponse:
    """File a ticket. What is left and what is promised are shown before; at zero the page offers the ways on."""
    contact = _filing_contact(request)
    has = entitlement(contact.client)
    if not has.may_file and request.method != "POST":
        return _ways_on(request, contact)
    make = FilingForm if request.method != "POST" else partial(FilingForm.posted, request)
    form = make(client=contact.client, entitlement=has)
    if form.is_valid():
        try:
            filing = form.filing()
            ticket = actions.file_ticket(contact, filing)
        except (NothingLeft, ChannelNotIncluded):
            return _ways_on(request, contact, typed=form, status=409)
        except (NothingPromised, NeverOpen) as error:
            log.warning("no first response can be promised", client=contact.client_id, reason=type(error).__name__)
            return _no_deadline(request, filing)
        except actions.FiledOtherwise as error:
            return _filed_otherwise(request, error.ticket, filing)
        except NotYours as error:
            raise PermissionDenied from error
        messages.success(request, _("Filed. We are looking for the member who takes it."))
        return go_on(request, _address(ticket))
    return render(
        request,
        "tickets/file_ticket.html",
        {
            "form": form,
            "entitlement": has,
            "client": contact.client,
            "severity_meanings": _severity_meanings(has),
            "channel_meanings": CHANNEL_MEANINGS,
        },
        status=422 if form.errors else 200,
    )


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Markdown as it will be read."""
    words = text.clean(request.POST.get("description") or request.POST.get("body") or "")
    html = text.render(words) if len(words) <= text.MAX_CHARS else ""
    return render(request, "tickets/preview.html", {"html": html, "too_long": len(words) > text.MAX_CHARS})


@require_safe
def ticket(request: HttpRequest, number: int) -> HttpResponse:
    return _show(request, _visible(request, number))


@require_POST
def reply(request: HttpRequest, number: int) -> HttpResponse:
    """Words the other side reads."""
    shown = _visible(request, number, WRITER)
    form = ReplyForm.posted(request, tier=shown.tier)
    if not form.is_valid():
        return _show(request, shown, reply_form=form)
    body, key, wait = (form.cleaned_data[name] for name in ["body", "key", "wait"])
    files = form.kept_files()
    return _done_or_conflict(
        request,
        shown,
        lambda user: actions.reply(shown, user, body, key, files=files, wait=wait),
        _("Sent."),
        typed=body,
    )


@require_POST
def note(request: HttpRequest, number: int) -> HttpResponse:
    """Words only members read."""
    shown = _visible(request, number, MEMBER)
    form = MessageForm.posted(request, tier=shown.tier)
    if not form.is_valid():
        return _show(request, shown, note_form=form)
    body, key, files = form.cleaned_data["body"], form.cleaned_data["key"], form.kept_files()
    return _done_or_conflict(
        request,
        shown,
        lambda user: actions.note(shown, user, body, key, files=files),
        _("Noted for members."),
        typed=body,
    )


@require_POST
def judge(request: HttpRequest, number: int) -> HttpResponse:
    """The assignee's verdict: does it count?"""
    shown = _visible(request, number, ASSIGNEE)
    form = JudgeForm(request.POST)
    if not form.is_valid():
        return _show(request, shown, judge_form=form)
    try:
        return _done_or_conflict(
            request, shown, lambda user: actions.judge(shown, user, form.cleaned_data["verdict"]), _("Decided.")
        )
    except NothingLeft:
        return conflict(
            request,
            _("The client's allowance has been used up since this ticket was released, so it cannot count again."),
            back=_address(shown),
        )


@require_POST
def solve(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, ASSIGNEE)
    form = MessageForm.posted(request, tier=shown.tier)
    if not form.is_valid():
        return _show(request, shown, solve_form=form)
    body, key, files = form.cleaned_data["body"], form.cleaned_data["key"], form.kept_files()
    try:
        return _done_or_conflict(
            request,
            shown,
            lambda user: actions.solve(shown, user, body, key, files=files),
            _("Solved. The client confirms or reopens."),
            typed=body,
        )
    except actions.VerdictMissing:
        form.add_error(None, _("Decide first whether this ticket counts; the box is on the right."))
        return _show(request, shown, solve_form=form)


@require_POST
def confirm(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, CLIENT)
    return _done_or_conflict(request, shown, lambda user: actions.confirm(shown, user), _("Closed. Thank you."))


@require_POST
def reopen(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, CLIENT)
    form = MessageForm.posted(request, tier=shown.tier)
    if not form.is_valid():
        return _show(request, shown, reopen_form=form)
    body, key, files = form.cleaned_data["body"], form.cleaned_data["key"], form.kept_files()
    return _done_or_conflict(
        request, shown, lambda user: actions.reopen(shown, user, body, key, files=files), _("Reopened."), typed=body
    )


@require_POST
def withdraw(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, CLIENT)
    return _done_or_conflict(
        request,
        shown,
        lambda user: actions.withdraw(shown, user),
        _("Withdrawn. The ticket is back in your allowance."),
    )


@require_POST
def give_back(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, GIVER)
    return _done_or_conflict(
        request, shown, lambda user: handout.give_back(shown, user), _("Given back. The next member is asked.")
    )


@require_POST
def withdraw_hand_over(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, ASSIGNEE)
    return _done_or_conflict(
        request, shown, lambda user: handout.withdraw_hand_over(shown, user), _("Taken back. The ticket stays yours.")
    )


@require_POST
def hand_over(request: HttpRequest, number: int) -> HttpResponse:
    shown = _visible(request, number, ASSIGNEE)
    form = HandOverForm(request.POST, besides=_own_member(request))
    if not form.is_valid():
        return _show(request, shown, hand_over_form=form)
    return _done_or_conflict(
        request,
        shown,
        lambda user: handout.hand_over(shown, user, form.cleaned_data["to"]),
        _("Offered. The ticket stays yours until they accept."),
    )


def _show(request: HttpRequest, shown: Ticket, **bound: forms.Form) -> HttpResponse:
    """The ticket's page; a form that was not taken is shown again with what was typed."""
    page = TicketPage.of(shown, signed_in(request))
    facts = {"page": page, "ticket": shown, "verdict_meanings": VERDICT_MEANINGS, **page.forms(bound)}
    return render(request, "tickets/ticket.html", facts, status=422 if bound else 200)


def _done_or_conflict(
    request: HttpRequest, shown: Ticket, act: Callable[..., object], sentence: str, *, typed: str = ""
) -> HttpResponse:
    try:
        act(signed_in(request))
    except NotYours as error:
        raise PermissionDenied from error
    except NotNow:
        return conflict(
            request,
            _("The ticket has moved on meanwhile, so this was not done. Nothing was changed."),
            back=_address(shown),
            typed=typed,
        )
    messages.success(request, sentence)
    if Ticket.objects.visible_to(request.user).filter(pk=shown.pk).exists():
        return go_on(request, _address(shown))
    return go_on(request, reverse("tickets:queue"))


def _visible(request: HttpRequest, number: int, who: Callable[[TicketPage], bool] | None = None) -> Ticket:
    """The ticket: 404 for whoever may not look, 403 for whoever may look but is not the one to do this."""
    tickets = Ticket.objects.visible_to(request.user).select_related(
        "client__calendar", "tier", "server__installation", "requester", "assignee__user", "assignee__member"
    )
    shown = get_object_or_404(tickets, pk=number)
    if who is not None and not who(TicketPage.of(shown, signed_in(request))):
        raise PermissionDenied
    return shown


def _address(shown: Ticket) -> str:
    return reverse("tickets:ticket", args=[shown.number])


def _own_member(request: HttpRequest) -> Member:
    member = signed_in(request).member
    if member is None:
        raise PermissionDenied
    return member


def _filing_contact(request: HttpRequest) -> Contact:
    contact = contact_of(signed_in(request))
    if contact is None:
        raise Http404
    if not contact.may_file:
        raise PermissionDenied
    return contact


def _ways_on(
    request: HttpRequest, contact: Contact, typed: FilingForm | None = None, status: int = 200
) -> HttpResponse:
    """Nothing left is never a dead end (product.md, Tiers 6)."""
    has = entitlement(contact.client)
    facts = {
        "entitlement": has,
        "next_term": contact.client.subscriptions.coming(has.on).first(),
        "client": contact.client,
        "contact": contact,
        # Somebody invited who has not come in yet may be an address that has its account elsewhere.
        "buyers": contact.client.contacts.filter(
            role__in=[Contact.Role.OWNER, Contact.Role.BILLING], user__last_login__isnull=False
        ).select_related("user"),
        "typed": typed.cleaned_data if typed else {},
        "write_to": _our_address(),
        "forum": settings.FORUM_URL,
    }
    return render(request, "tickets/nothing_left.html", facts, status=status)


def _no_deadline(request: HttpRequest, filing: actions.Filing) -> HttpResponse:
    """Staff left a tier without promises, or business hours without an hour."""
    sentence = _(
        "We cannot say by when you would get a first response, because your tier or your business hours are not "
        "fully set up. Nothing was filed, and no ticket is used. Please write to us at %(address)s."
    ) % {"address": _our_address()}
    typed = f"{filing.subject}\n\n{filing.description}"
    return conflict(request, sentence, back=reverse("tickets:file_ticket"), typed=typed)


def _filed_otherwise(request: HttpRequest, first: Ticket, filing: actions.Filing) -> HttpResponse:
    """Sent, cancelled too late or gone back to, changed, and sent again."""
    sentence = _(
        "This form has filed ticket #%(number)d already, and no second one is used. What you have changed since then, "
        "files included, is not on it: add it there as a reply."
    ) % {"number": first.number}
    return conflict(request, sentence, back=_address(first), typed=f"{filing.subject}\n\n{filing.description}")


def _our_address() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1]


def _severity_meanings(has: Entitlement) -> dict[str, str]:
    """What each severity means, with the first response the tier promises for it."""
    promised = promises_by_severity(has.subscription.tier) if has.subscription else {}
    return {str(each.value): _meaning(each, promised.get(each.value)) for each in SEVERITY_MEANINGS}


def _meaning(severity: Severity, promise: Promise | None) -> str:
    meaning = str(SEVERITY_MEANINGS[severity])
    if promise is None:
        return meaning
    return _("%(meaning)s First response within %(within)s.") % {"meaning": meaning, "within": promise}
