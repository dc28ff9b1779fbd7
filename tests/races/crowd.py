"""What members, clients and the clock do at random in a storm."""

from datetime import timedelta

from django.utils import timezone

from aegir_support import calendars
from billing.models import Contact
from members import actions as members
from members.models import Member, Representative
from tests.races import acting
from tickets import actions, handout
from tickets.models import Offer, Ticket

TICKETS = 40


class Crowd:
    """Everybody of the cast, as one process plays them."""

    def __init__(self, way, dice):
        self.dice = dice
        self.they = getattr(acting, way)()
        self.representatives = list(Representative.objects.select_related("user", "member"))
        self.members = list(Member.objects.all())
        self.contacts = list(Contact.objects.select_related("user", "client__calendar"))

    def do_something(self):
        chances = {
            self.answer: 46, self.time_is_over: 10, self.half_is_gone: 4, self.sweep: 5, self.claim: 9,
            self.give_back: 6, self.hand_over: 5, self.withdraw: 3, self.reply: 4, self.judge: 4, self.solve: 3,
            self.confirm: 1, self.reopen: 3, self.file: 4, self.come_and_go: 1,
        }  # fmt: skip
        act = self.dice.choices(list(chances), chances.values())[0]
        about = {}
        try:
            found = act()
            if found is None:
                return None
            about, attempt = found
            told = attempt()
        except Exception as error:  # noqa: BLE001 (what escapes is a fault, and goes into the history)
            told = f"{type(error).__name__}: {error}".split("\n")[0]
        return {"act": act.__name__, **about, "told": told}

    # Each picks somebody and something from what it sees now; by the time it acts, that may be over.

    def answer(self):
        offers = self._newest(self._offers().open()) if self.dice.random() < 0.85 else self._newest(self._offers())
        if not offers:
            return None
        offer = self.dice.choice(offers)
        who = self.dice.choice([each for each in self.representatives if each.member_id == offer.member_id])
        word = self.dice.choice(["accept", "refuse"])
        return {"word": word, "offer": offer.pk, "by": who.pk}, lambda: getattr(self.they, word)(offer, who)

    def time_is_over(self):
        offers = self._newest(self._offers().open())
        if not offers:
            return None
        offer = self.dice.choice(offers)
        acting.ends_in(offer, 0)
        return {"offer": offer.pk}, lambda: acting.attempt(handout.expire, offer)

    def half_is_gone(self):
        ticket = self._ticket("offered", "waiting")
        if ticket is None:
            return None
        acting.half_is_gone(ticket)
        return {"ticket": ticket.pk}, lambda: acting.attempt(handout.open_call, ticket)

    def sweep(self):
        return {}, lambda: actions.sweep(timezone.now()) or "done"

    def claim(self):
        return self._on(("open_call",), lambda ticket: self.they.claim(ticket, self.dice.choice(self.representatives)))

    def give_back(self):
        return self._on(("working",), lambda ticket: self.they.give_back(ticket, ticket.assignee))

    def hand_over(self):
        return self._on(
            ("working", "with_client"),
            lambda ticket: self.they.hand_over(
                ticket,
                ticket.assignee,
                self.dice.choice([each for each in self.members if each != ticket.assignee.member]),
            ),
        )

    def withdraw(self):
        return self._on(("offered", "open_call"), lambda ticket: self.they.withdraw(ticket, self._contact(ticket)))

    def reply(self):
        return self._on(
            ("working", "with_client"),
            lambda ticket: self.they.reply(ticket, self.dice.choice([self._contact(ticket), ticket.assignee])),
        )

    def judge(self):
        verdict = self.dice.choice(["in", "out", "defect"])
        return self._on(("working",), lambda ticket: self.they.judge(ticket, ticket.assignee, verdict))

    def solve(self):
        return self._on(("working",), lambda ticket: self.they.solve(ticket, ticket.assignee))

    def confirm(self):
        return self._on(("solved",), lambda ticket: self.they.confirm(ticket, self._contact(ticket)))

    def reopen(self):
        return self._on(("solved", "closed"), lambda ticket: self.they.reopen(ticket, self._contact(ticket)))

    def file(self):
        return {}, lambda: self.they.file(self.dice.choice(self.contacts))

    def come_and_go(self):
        member = self.dice.choice(self.members)
        tomorrow = calendars.today() + timedelta(days=1)
        if self.dice.random() < 0.4:
            return {}, lambda: members.go_away(member, tomorrow) or "done"
        return {}, lambda: members.come_back(member) or "done"

    def _on(self, statuses, attempt):
        ticket = self._ticket(*statuses)
        return ticket and ({"ticket": ticket.pk}, lambda: attempt(ticket))

    def _ticket(self, *statuses):
        newest = Ticket.objects.filter(status__in=statuses, number__gt=self._oldest())
        tickets = list(newest.select_related("assignee__user", "assignee__member")[:TICKETS])
        return self.dice.choice(tickets) if tickets else None

    def _contact(self, ticket):
        return self.dice.choice([each for each in self.contacts if each.client_id == ticket.client_id])

    def _offers(self):
        return Offer.objects.filter(ticket__gt=self._oldest())

    def _newest(self, offers):
        return list(offers.order_by("-pk")[:TICKETS])

    def _oldest(self):
        return Ticket.objects.order_by("-number").values_list("number", flat=True)[:TICKETS][TICKETS - 1]
