"""The cast of the demo and the tests: invented people, firms and clients, made through the actions.

Who they are is in docs/architecture.md. Everybody's address ends in `.example`, and all share one password.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, time, timedelta
from functools import cache
from pathlib import Path

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aegir_support import calendars
from billing import catalogue
from billing.actions import start_subscription
from billing.models import Client, Contact, Installation, Server, Tier
from members import actions as members
from members.models import Calendar, CalendarSpan, Duty, Member, Queue, Representative, User
from referrals.models import Partner, PartnerContact
from tickets.models import OfferWindow
from tickets.sla import SHIPPED_WINDOWS

PASSWORD = "the-river-is-wide"  # noqa: S105 (a demo's password is told to everybody)

LOGINS = [
    ("hal@riverbank.example", _("Hal, technical contact of the client Riverbank Library")),
    ("gita@riverbank.example", _("Gita, owner at Riverbank Library")),
    ("iris@dovetail.example", _("Iris, owner of the client Dovetail Studio")),
    ("ana@lima.example", _("Ana Lima, member, sole trader")),
    ("bo@veldwerk.example", _("Bo Maas, for the member Veldwerk")),
    ("chloe@boreal.example", _("Chloé Roy, for the member Atelier Boréal, and coordinator")),
    ("denis@boreal.example", _("Denis Roy, for the member Atelier Boréal")),
    ("edda@books.example", _("Edda, bookkeeper")),
    ("finn@aegir.example", _("Finn, admin")),
    ("jo@lantern.example", _("Jo, of the partner Lantern Themes")),
    ("cleo@nowhere.example", _("Cleo, a stranger with nothing to see")),
]


@dataclass(frozen=True)
class Cast:
    """Everybody by first name; clients, members and servers by a word of theirs."""

    ana: Representative
    bo: Representative
    chloe: Representative
    denis: Representative
    edda: User
    finn: User
    cleo: User
    jo: PartnerContact
    gita: Contact
    hal: Contact
    iris: Contact
    riverbank: Client
    dovetail: Client
    lima: Member
    veldwerk: Member
    boreal: Member
    aegir01: Server
    studio01: Server


@transaction.atomic
def make_cast() -> Cast:
    """Make everybody, with their terms, servers, seats and duties, in a database that has only its migrations."""
    catalogue.load(Path(settings.BASE_DIR) / "data")
    Queue.objects.get_or_create(name=Queue.SUPPORT)
    for severity, minutes in SHIPPED_WINDOWS.items():
        OfferWindow.objects.get_or_create(severity=severity, defaults={"minutes": minutes})

    lima = _member("Ana Lima", Member.Kind.PERSON, "US", "America/New_York")
    veldwerk = _member("Veldwerk", Member.Kind.ORGANISATION, "NL", "Europe/Amsterdam")
    boreal = _member("Atelier Boréal", Member.Kind.ORGANISATION, "CA", "America/Toronto")
    ana, bo = _acts_for(lima, "Ana Lima", "ana@lima.example"), _acts_for(veldwerk, "Bo Maas", "bo@veldwerk.example")
    chloe = _acts_for(boreal, "Chloé Roy", "chloe@boreal.example")
    denis = _acts_for(boreal, "Denis Roy", "denis@boreal.example")
    edda = _person("Edda Holt", "edda@books.example")
    Duty.objects.create(user=chloe.user, kind=Duty.Kind.COORDINATOR)
    Duty.objects.create(user=edda, kind=Duty.Kind.BOOKKEEPER)

    riverbank = _client("Riverbank Library", "US", "USD", _office_hours("America/New_York"))
    dovetail = _client("Dovetail Studio", "NL", "EUR", _office_hours("Europe/Amsterdam"))
    aegir01 = _server(riverbank, "Library platform", "aegir01.riverbank.example", 2)
    _server(riverbank, "Library platform", "aegir02.riverbank.example", 2)
    studio01 = _server(dovetail, "Studio sites", "web.dovetail.example", 1)
    _term(riverbank, "standard", cpus=4)
    _term(dovetail, "basic", cpus=1)

    lantern = Partner.objects.create(name="Lantern Themes", country="GB")
    cast = Cast(
        ana=ana,
        bo=bo,
        chloe=chloe,
        denis=denis,
        edda=edda,
        finn=_person("Finn Adler", "finn@aegir.example", is_staff=True, is_superuser=True),
        cleo=_person("Cleo Stone", "cleo@nowhere.example"),
        jo=PartnerContact.objects.create(user=_person("Jo Park", "jo@lantern.example"), partner=lantern),
        gita=_contact(riverbank, "Gita Rao", "gita@riverbank.example", Contact.Role.OWNER),
        hal=_contact(riverbank, "Hal Brook", "hal@riverbank.example", Contact.Role.TECHNICAL),
        iris=_contact(dovetail, "Iris Vos", "iris@dovetail.example", Contact.Role.OWNER),
        riverbank=riverbank,
        dovetail=dovetail,
        lima=lima,
        veldwerk=veldwerk,
        boreal=boreal,
        aegir01=aegir01,
        studio01=studio01,
    )
    for user in users_by_name(cast).values():
        user.refresh_from_db(fields=["session_epoch"])  # every role they were given began a new one
    return cast


def users_by_name(cast: Cast) -> dict[str, User]:
    """Everybody who can log in: `{"hal": …}`."""
    people = {each.name: getattr(cast, each.name) for each in fields(cast)}
    return {name: who if isinstance(who, User) else who.user for name, who in people.items() if _has_login(who)}


def _has_login(who: object) -> bool:
    return isinstance(who, User | Representative | Contact | PartnerContact)


def _person(name: str, email: str, **facts: bool) -> User:
    user = User.objects.create_user(email, None, name=name, **facts)
    user.password = _password_hash()
    user.last_login = timezone.now()  # everybody has been here before
    user.save(update_fields=["password", "last_login"])
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


@cache
def _password_hash() -> str:
    # Hashing is slow on purpose, and once is enough for a password that everybody shares.
    return make_password(PASSWORD)


def _member(name: str, kind: str, country: str, time_zone: str) -> Member:
    member = Member.objects.create(name=name, kind=kind, country=country, time_zone=time_zone)
    members.admit(member)
    return member


def _acts_for(member: Member, name: str, email: str) -> Representative:
    user = _person(name, email)
    user.time_zone = member.time_zone
    user.save(update_fields=["time_zone"])
    return members.represent(user, member)


def _office_hours(time_zone: str) -> Calendar:
    """Monday to Friday, 9 to 17."""
    calendar = Calendar.objects.create(name=f"Office hours, {time_zone}", time_zone=time_zone)
    CalendarSpan.objects.bulk_create(
        CalendarSpan(calendar=calendar, weekday=day, opens=time(9), closes=time(17)) for day in range(5)
    )
    return calendar


def _client(name: str, country: str, currency: str, calendar: Calendar) -> Client:
    return Client.objects.create(name=name, country=country, currency=currency, calendar=calendar)


def _contact(client: Client, name: str, email: str, role: str) -> Contact:
    user = _person(name, email)
    user.time_zone = client.calendar.time_zone
    user.save(update_fields=["time_zone"])
    return Contact.objects.create(user=user, client=client, role=role)


def _server(client: Client, installation: str, hostname: str, cpus: int) -> Server:
    home, _made = Installation.objects.get_or_create(
        client=client,
        name=installation,
        defaults={"aegir_version": "3.192", "operating_system": "Debian 12"},
    )
    return Server.objects.create(installation=home, hostname=hostname, cpus=cpus)


def _term(client: Client, tier: str, *, cpus: int) -> None:
    starts_on = calendars.today() - timedelta(days=120)
    start_subscription(
        client,
        Tier.objects.on_sale().get(code=tier),
        cpus=cpus,
        starts_on=starts_on,
        ends_on=date(starts_on.year + 1, starts_on.month, min(starts_on.day, 28)),
    )
