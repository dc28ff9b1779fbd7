from __future__ import annotations

import uuid
from email.utils import parseaddr

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from aegir_support import calendars
from members import limits
from members.access import ask_again_unless_fresh, signed_in
from members.actions import send_invitation
from members.limits import limited

from . import actions
from .entitlements import entitlement
from .forms import AgainForm, InviteForm
from .models import Charge, Contact, Grant, Invitation, Pack, Price, Server, Severity, Subscription, Tier, contact_of

LISTED = 100  # the latest rows of a list that is looked at rather than searched


@require_safe
@login_not_required
def pricing(request: HttpRequest) -> HttpResponse:
    """The public price list, in the currency asked for (B3, B36)."""
    currencies = Price.objects.on_sale().currencies()
    currency = request.GET.get("currency", "")
    currency = currency if currency in currencies else next(iter(currencies), "")
    prices = Prefetch("prices", Price.objects.filter(currency=currency), to_attr="price_now")
    return render(
        request,
        "billing/pricing.html",
        {
            "tiers": Tier.objects.on_sale().prefetch_related(prices, "promises"),
            "packs": Pack.objects.filter(on_sale=True).prefetch_related(prices),
            "currency": currency,
            "currencies": currencies,
            "severities": Severity.choices,
            "write_to": parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
        },
    )


@require_safe
def subscription(request: HttpRequest) -> HttpResponse:
    """What a client has: the term, each grant with what is left of it, and what each ticket used."""
    contact = _contact_or_404(request)
    charges = Charge.objects.filter(grant__client=contact.client)
    client = contact.client
    return render(
        request,
        "billing/subscription.html",
        {
            "client": client,
            "entitlement": entitlement(client),
            "next_term": client.subscriptions.coming(calendars.today()).first(),
            "charges": charges.select_related("grant").order_by("-held_at")[:LISTED] if contact.sees_all else [],
            "counts": None if contact.sees_all else charges.counts(),
            "limit": LISTED,
            "forum": settings.FORUM_URL,
        },
    )


@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    contact = _contact_or_404(request)
    listed = list(Server.objects.of(contact.client).order_by("installation__name", "hostname"))
    return render(
        request,
        "billing/servers.html",
        {
            "servers": listed,
            "cpus": sum(server.cpus for server in listed),
            "entitlement": entitlement(contact.client),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@limited(limits.INVITE)
def contacts(request: HttpRequest) -> HttpResponse:
    """The people of the client; its owner brings in more."""
    contact = _contact_or_404(request)
    form = InviteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not contact.may_invite:
            raise PermissionDenied
        ask_again_unless_fresh(request)
        if form.is_valid() and _invited(request, contact, form):
            return redirect("billing:contacts")
    return render(
        request,
        "billing/contacts.html",
        {
            "contact": contact,
            "contacts": _people(contact),
            "invitations": contact.client.invitations.open(),
            "form": form if contact.may_invite else None,
            "again": AgainForm(),
        },
        status=422 if form.errors else 200,
    )


@require_POST
@limited(limits.INVITE)
def ask_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send an owner's invitation once more."""
    contact = _contact_or_404(request)
    invitation = get_object_or_404(Invitation.objects.open(), client=contact.client, pk=pk)
    if not contact.may_invite:
        raise PermissionDenied
    ask_again_unless_fresh(request)
    actions.ask_again(invitation, contact.user, _key(request))
    messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": invitation.email})
    return redirect("billing:contacts")


@require_POST
@limited(limits.INVITE)
def invite_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the invitation once more to a colleague whom we have added and who has not come in yet."""
    contact = _contact_or_404(request)
    colleague = get_object_or_404(_people(contact), pk=pk)
    if not contact.may_invite or not colleague.is_invited:
        raise PermissionDenied
    ask_again_unless_fresh(request)
    send_invitation(colleague.user, by=f"{contact.user.name}, {contact.client.name}", key=_key(request))
    messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": colleague.user.email})
    return redirect("billing:contacts")


@require_safe
def books(request: HttpRequest) -> HttpResponse:
    """What the bookkeeper reads: each client's term and what its tickets used, without a word of theirs (B47)."""
    user = signed_in(request)
    if not user.is_bookkeeper:
        raise PermissionDenied
    terms = Subscription.objects.select_related("client", "tier", "grant")
    other_grants = Grant.objects.exclude(kind=Grant.Kind.TERM).select_related("client", "given_by")
    return render(
        request,
        "billing/books.html",
        {
            "subscriptions": terms.order_by("-starts_on", "client__name")[:LISTED],
            "other_grants": other_grants.order_by("-starts_on", "-pk")[:LISTED],
            "charges": Charge.objects.select_related("grant__client").order_by("-held_at")[:LISTED],
            "limit": LISTED,
        },
    )


def _contact_or_404(request: HttpRequest) -> Contact:
    contact = contact_of(signed_in(request))
    if contact is None:
        raise Http404
    return contact


def _people(contact: Contact) -> QuerySet[Contact]:
    """The people of a client, besides those whose invitation by the owner is still open."""
    return contact.client.contacts.exclude(invitation__in=Invitation.objects.open()).select_related("user")


def _key(request: HttpRequest) -> uuid.UUID | None:
    """The key of the form, so that a second click sends no second mail."""
    form = AgainForm(request.POST)
    return form.cleaned_data["key"] if form.is_valid() else None


def _invited(request: HttpRequest, contact: Contact, form: InviteForm) -> bool:
    try:
        invitation = actions.ask_in(contact.user, contact.client, **form.cleaned_data)
    except actions.AlreadyAsked:
        form.add_error("email", _("This address is among your people already; the list above has it."))
        return False
    messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": invitation.email})
    return True
