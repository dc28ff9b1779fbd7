from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from . import actions, home
from . import sessions as where_logged_in
from .access import needs_fresh_log_in, signed_in
from .forms import AwayForm
from .models import Member


@require_safe
def home_page(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    panels = home.panels_for(user)
    heading = next((facts["heading"] for _panel, facts in panels if "heading" in facts), None)
    return render(
        request,
        "members/home.html",
        {
            "heading": heading or _("Hello %(name)s, nothing here is yours yet") % {"name": user.first_name},
            "panels": [(panel.template, facts) for panel, facts in panels if not panel.in_rail],
            "rail": [(panel.template, facts) for panel, facts in panels if panel.in_rail],
        },
    )


@require_POST
def go_away(request: HttpRequest) -> HttpResponse:
    member = _own_member(request)
    form = AwayForm(request.POST, member=member)
    if not form.is_valid():
        return render(request, "members/away.html", {"form": form}, status=422)
    actions.go_away(member, form.cleaned_data["until"])
    messages.success(request, _("You are away. Nothing is offered to you until you are back; your tickets stay yours."))
    return redirect("tickets:queue")


@require_POST
def come_back(request: HttpRequest) -> HttpResponse:
    actions.come_back(_own_member(request))
    messages.success(request, _("Welcome back. Your place is at the end of the queue."))
    return redirect("tickets:queue")


@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """Where one is logged in."""
    return render(request, "usersessions/usersession_list.html", {"places": where_logged_in.places(request)})


@require_POST
@needs_fresh_log_in
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    if where_logged_in.end(signed_in(request), pk):
        messages.success(request, _("Logged out there."))
    else:
        messages.info(request, _("That one had ended already."))
    return redirect("sessions")


@require_POST
@needs_fresh_log_in
@where_logged_in.keeping_this_one
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    where_logged_in.end_others(request)
    messages.success(request, _("You are logged in nowhere else any more."))
    return redirect("sessions")


def _own_member(request: HttpRequest) -> Member:
    member = signed_in(request).member
    if member is None or not member.is_active:
        raise PermissionDenied
    return member
