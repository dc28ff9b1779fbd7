"""Two organisations with the same data: the same servers, people, subjects and tickets in each state.

What one has differs from what the other has in its ids, which begin at a million and at two million, and in one word
that stands in each of its texts.
"""

import hashlib
from datetime import timedelta

from django.apps import apps
from django.db import connection
from django.utils import timezone

from aegir_support import calendars, demo
from billing.actions import grant_pack, invite_contact, start_subscription
from billing.models import Charge, Client, Contact, Installation, Pack, Server, Tier
from members import actions as members
from members.models import Calendar, Member, User
from tests.tickets.filing import offer_of
from tickets import actions, handout
from tickets.models import Ticket

FIRST, SECOND, NOBODY = "heronsong", "otterhide", "nobodyabc"
FIRST_ID, SECOND_ID, NOBODY_ID = 1_000_000, 2_000_000, 3_000_000
ROLES = {"owner": "owner", "billing": "billing", "technical": "technical", "watcher": "watcher", "own": "technical"}
# What is written about everybody, whoever it is: who did what when. It names a row by its number and is read by few.
ABOUT_EVERYBODY = {"deed", "logentry", "session", "outbox"}


class Twin:
    """One of the two: `people` by role, and every row of it."""

    def __init__(self, word, first_id):
        self.word = word
        _number_from(first_id)
        self.client = Client.objects.create(
            name=f"Twin {word}", country="NL", currency="EUR", calendar=Calendar.objects.first()
        )
        self.people = {role: self._person(role) for role in ROLES}
        home = Installation.objects.create(client=self.client, name=f"Platform {word}", aegir_version="3.192")
        self.server = Server.objects.create(installation=home, hostname=f"web.{word}.example", cpus=2)
        today = calendars.today()
        tier = Tier.objects.on_sale().get(code="standard")
        start_subscription(self.client, tier, cpus=4, starts_on=today, ends_on=today + timedelta(days=365))
        if pack := Pack.objects.first():
            grant_pack(self.client, pack, starts_on=today)
        owner = self.people["owner"].user
        invite_contact(owner, self.client, email=f"guest@{word}.example", name=f"Guest {word}", role="technical")
        self._tickets()

    def _person(self, role):
        user = User.objects.create_user(f"{role}@{self.word}.example", name=f"{role.title()} {self.word}")
        User.objects.filter(pk=user.pk).update(last_login=timezone.now())
        sees = Contact.Sees.OWN if role == "own" else Contact.Sees.ALL
        return Contact.objects.create(user=user, client=self.client, role=ROLES[role], sees=sees)

    def _tickets(self):
        """One in each state, some filed by whoever sees only their own."""
        self._file("offered")
        self._file("withdrawn", by="own")
        actions.withdraw(self._latest, self.people["own"].user)
        self._file("working", by="own")
        self._accept()
        working = self._latest
        actions.reply(working, self.people["own"].user, f"Reply of the client, {self.word}.")
        actions.reply(working, working.assignee.user, f"Reply of ours, {self.word}.")
        actions.note(working, working.assignee.user, f"Note, {self.word}.")
        self._file("asked")
        self._accept()
        actions.reply(self._latest, self._latest.assignee.user, f"Which platform, {self.word}?", wait=True)
        for last in ["solved", "closed"]:
            self._file(last)
            self._accept()
            by = self._latest.assignee.user
            actions.judge(self._latest, by, Ticket.Verdict.IN_SCOPE)
            actions.solve(self._latest, by, f"Done, {self.word}.")
        actions.confirm(self._latest, self.people["technical"].user)
        self._file("called")
        for _ in range(Member.objects.count()):
            offer = self._latest.offers.open().first()
            if offer is None:
                break
            handout.refuse(offer, offer.member.representatives.first(), f"Refused, {self.word}")
            self._latest.refresh_from_db()
        away = list(Member.objects.active())
        for member in away:
            members.go_away(member, member.today + timedelta(days=3))
        self._file("waiting")
        Member.objects.filter(pk__in=[each.pk for each in away]).update(away_until=None)

    def _file(self, subject, by="technical"):
        filing = actions.Filing(
            subject=f"{subject.title()} ticket {self.word}",
            description=f"What happens to {self.word}, and what should.",
            server=self.server,
        )
        self._latest = actions.file_ticket(self.people[by], filing)

    def _accept(self):
        offer = offer_of(self._latest)
        self._latest = handout.accept(offer, offer.member.representatives.first())

    @property
    def rows(self):
        """{model: ids} of whatever hangs on the client or its people, found by foreign keys; also of later models."""
        found = {Client: {self.client.pk}, User: {each.user_id for each in self.client.contacts.all()}}
        grown = True
        while grown:
            grown = False
            for model in apps.get_models():
                if model._meta.model_name in ABOUT_EVERYBODY:
                    continue
                for key in model._meta.fields:
                    if key.is_relation and key.related_model in found:
                        here = model.objects.filter(**{f"{key.name}__in": found[key.related_model]})
                        more = set(here.values_list("pk", flat=True)) - found.get(model, set())
                        if more:
                            found.setdefault(model, set()).update(more)
                            grown = True
        return found

    @property
    def fingerprint(self):
        """Changes with any change of any of its rows, and with one more or less."""
        seen = hashlib.sha256()
        for model, ids in sorted(self.rows.items(), key=lambda each: each[0]._meta.label):
            for row in model.objects.filter(pk__in=ids).order_by("pk").values_list():
                seen.update(f"{model._meta.label}{row}".encode())
        return seen.hexdigest()

    @property
    def values(self):
        """Whatever names one of its rows: ids, keys, addresses, host names."""
        rows = self.rows
        ids = {str(pk) for keys in rows.values() for pk in keys}
        keys = set(Charge.objects.filter(pk__in=rows[Charge]).values_list("key", flat=True))
        for model, there in rows.items():
            unique = [each.name for each in model._meta.fields if each.unique and not each.is_relation]
            for row in model.objects.filter(pk__in=there).values_list(*unique):
                keys.update(str(value) for value in row)
        return sorted(ids | keys)


def make_twins():
    if not Member.objects.exists():
        demo.make_cast()
    return Twin(FIRST, FIRST_ID), Twin(SECOND, SECOND_ID)


def _number_from(first):
    """Let every id begin here, so that an id says whose it is."""
    with connection.cursor() as cursor:
        for sequence in sequences():
            cursor.execute("SELECT setval(%s, %s, false)", [sequence, first])


def sequences():
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(sequencename) FROM pg_sequences WHERE schemaname = 'public'")
        return [name for (name,) in cursor.fetchall()]
