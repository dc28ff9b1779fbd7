"""The member's side of the hand-out: offers, the order of the queue, the open call."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from aegir_support import deeds
from members.access import signed_in
from members.forms import AwayForm
from members.models import Member, Queue, Representative, Seat

from .. import emails, handout
from ..forms import RefuseForm
from ..models import Offer, Ticket
from ..steps import NotYours
from .answers import conflict, offer_is_closed


@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """A member's desk: what waits for an answer, one's own tickets, the open call, and whose turn it is."""
    member = _own_member(request)
    now = timezone.now()
    return render(
        request,
        "tickets/queue.html",
        {
            "member": member,
            "offers": Offer.objects.to_answer(member, timezone.now()),
            "tickets": Ticket.objects.assigned_to(member).unsettled().for_list()[:50],
            "open_call": Ticket.objects.on_open_call().visible_to(request.user).for_list()[:20],
            "in_the_queue": Ticket.objects.unassigned().for_list()[:20],
            "seats": _seats(),
            "shares": _shares(now),
            "away_form": AwayForm(member=member),
            "now": now,
        },
    )


@require_safe
def offers(request: HttpRequest) -> HttpResponse:
    """The part of the desk that htmx asks for again and again: a new offer arrives without a reload."""
    member = _own_member(request)
    waiting = list(Offer.objects.to_answer(member, timezone.now()))
    if request.GET.get("shown") == "".join(f"{each.pk}." for each in waiting):
        return HttpResponse(status=204)  # no news: htmx leaves the page alone, and nothing is read out again
    return render(request, "tickets/_offers.html", {"offers": waiting, "member": member})


@require_safe
def offer(request: HttpRequest, pk: int) -> HttpResponse:
    """One offer by itself, with the ticket's words."""
    shown = get_object_or_404(Offer.objects.visible_to(request.user).with_ticket(), pk=pk)
    return render(request, "tickets/offer.html", {"offer": shown})


@require_POST
def accept_offer(request: HttpRequest, pk: int) -> HttpResponse:
    accepted = get_object_or_404(Offer.objects.visible_to(request.user), pk=pk)
    try:
        ticket = handout.accept(accepted, _own_representative(request))
    except handout.OfferClosed:
        return offer_is_closed(request, back=reverse("tickets:queue"))
    messages.success(request, _("The ticket is yours. The client is waiting for your first response."))
    return redirect("tickets:ticket", ticket.number)


@require_POST
def refuse_offer(request: HttpRequest, pk: int) -> HttpResponse:
    refused = get_object_or_404(Offer.objects.visible_to(request.user).with_ticket(), pk=pk)
    form = RefuseForm(request.POST)
    if not form.is_valid():
        return render(request, "tickets/offer.html", {"offer": refused, "refuse_form": form}, status=422)
    try:
        handout.refuse(refused, _own_representative(request), form.cleaned_data["reason"])
    except handout.OfferClosed:
        return offer_is_closed(request, back=reverse("tickets:queue"))
    messages.success(request, _("Passed on to the next member."))
    return redirect("tickets:queue")


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def answer_offer(request: HttpRequest, token: str) -> HttpResponse:
    """The link in the mail: a page with two buttons, since mail scanners follow links. It shows no client's words."""
    try:
        offer_id, representative_id = emails.read_offer_token(token)
    except (BadSignature, ValueError, TypeError):
        return render(request, "tickets/answer_offer.html", {"offer": None}, status=404)
    representative = get_object_or_404(Representative.objects.select_related("user", "member"), pk=representative_id)
    offered = get_object_or_404(Offer.objects.select_related("ticket__tier", "member"), pk=offer_id)
    facts = {"offer": offered, "representative": representative, "answer": ""}
    if not _still_speaks_for(representative, offered):
        return render(request, "tickets/answer_offer.html", {**facts, "offer": None}, status=404)
    if request.method != "POST":
        return render(request, "tickets/answer_offer.html", facts, status=200 if offered.can_be_answered else 410)
    form = RefuseForm(request.POST)
    if request.POST.get("answer") not in {"accept", "refuse"} or not form.is_valid():
        return render(request, "tickets/answer_offer.html", {**facts, "refuse_form": form}, status=422)
    deeds.in_the_name_of(representative.user)
    try:
        if request.POST["answer"] == "accept":
            handout.accept(offered, representative)
        else:
            handout.refuse(offered, representative, form.cleaned_data["reason"])
    except handout.OfferClosed:
        offered.refresh_from_db()
        return render(request, "tickets/answer_offer.html", facts, status=409)
    return render(request, "tickets/answer_offer.html", {**facts, "answer": request.POST["answer"]})


@require_POST
def claim(request: HttpRequest, number: int) -> HttpResponse:
    """Take a ticket from the open call: the first one gets it."""
    member = _own_member(request)
    ticket = get_object_or_404(Ticket, pk=number)
    if not member.is_active:
        return _seat_is_paused(request)
    if not Ticket.objects.visible_to(request.user).filter(pk=number).exists():
        return _call_is_closed(request)
    try:
        handout.claim(ticket, _own_representative(request))
    except handout.CallClosed:
        return _call_is_closed(request)
    except NotYours:
        return _seat_is_paused(request)
    messages.success(request, _("The ticket is yours. The client is waiting for your first response."))
    return redirect("tickets:ticket", number)


def _seats() -> QuerySet[Seat]:
    """The order everybody may see (B20): seats of active members, each with whether an offer is open."""
    on_offer = Count("member__offers", filter=Q(member__offers__outcome=Offer.Outcome.OPEN))
    return (
        Seat.objects.filter(queue__name=Queue.SUPPORT, member__status=Member.Status.ACTIVE)
        .select_related("member")
        .annotate(on_offer=on_offer)
        .in_turn_order()
    )


def _shares(now: datetime) -> QuerySet[Member]:
    """Per member, of the last 90 days: offers that used a turn, and how many of them were accepted."""
    recent = Q(offers__kind=Offer.Kind.TURN, offers__offered_at__gte=now - timedelta(days=90))
    recent &= ~Q(offers__outcome=Offer.Outcome.WITHDRAWN)
    return (
        Member.objects.active()
        .annotate(
            offered=Count("offers", filter=recent),
            accepted=Count("offers", filter=recent & Q(offers__outcome=Offer.Outcome.ACCEPTED)),
        )
        .order_by("-offered", "name")
    )


def _call_is_closed(request: HttpRequest) -> HttpResponse:
    return conflict(
        request, _("Somebody else has taken this ticket. Nothing was changed."), back=reverse("tickets:queue")
    )


def _seat_is_paused(request: HttpRequest) -> HttpResponse:
    facts = {
        "sentence": _("Your seat is paused, so you cannot take a ticket. The coordinator can take your seat up again."),
        "back": reverse("tickets:queue"),
        "typed": "",
    }
    return render(request, "tickets/conflict.html", facts, status=403)


def _still_speaks_for(representative: Representative, offered: Offer) -> bool:
    return representative.member_id == offered.member_id and representative.user.is_active


def _own_member(request: HttpRequest) -> Member:
    member = signed_in(request).member
    if member is None or member.status == Member.Status.LEFT:
        raise PermissionDenied
    return member


def _own_representative(request: HttpRequest) -> Representative:
    _own_member(request)
    return signed_in(request).representative
