"""Who sees what (product.md): the words of a ticket are read by those who need them."""

import pytest
from django.contrib.auth.models import AnonymousUser

from billing.models import Contact
from members.models import Member, User
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Event, Offer, Ticket


@pytest.fixture
def ticket(hal):
    return file(hal)


def readers(ticket, *people):
    """Those of these people who may read the ticket, each as a request would meet them."""
    fresh = {person: User.objects.with_roles().get(pk=person.user.pk) for person in people}
    return [person for person in people if Ticket.objects.visible_to(fresh[person]).filter(pk=ticket.pk).exists()]


def test_the_clients_people_and_the_member_on_offer_read(ticket, hal, gita, iris, ana, bo, denis, chloe):
    assert readers(ticket, hal, gita, iris, ana, bo) == [hal, gita, ana]


def test_a_coordinator_reads_every_ticket(ticket, chloe, denis):
    assert readers(ticket, chloe, denis) == [chloe]


def test_whoever_refused_reads_no_longer(ticket, ana, bo):
    handout.refuse(offer_of(ticket), ana)
    assert readers(ticket, ana, bo) == [bo]


def test_a_past_assignee_goes_on_reading(ticket, ana, bo, veldwerk):
    handout.accept(offer_of(ticket), ana)
    handout.accept(handout.hand_over(ticket, ana.user, veldwerk), bo)
    assert readers(ticket, ana, bo) == [ana, bo]


def test_on_open_call_every_active_member_reads(ticket, ana, bo, denis, lima):
    for representative in [ana, bo, denis]:
        handout.refuse(offer_of(ticket), representative)
    assert readers(ticket, ana, bo, denis) == [ana, bo, denis]
    Member.objects.filter(pk=lima.pk).update(status=Member.Status.PAUSED)
    assert readers(ticket, ana, bo) == [bo]


def test_a_member_who_left_reads_nothing(ticket, ana, lima):
    handout.accept(offer_of(ticket), ana)
    Member.objects.filter(pk=lima.pk).update(status=Member.Status.LEFT)
    assert readers(ticket, ana) == []


def test_a_contact_who_sees_their_own_reads_only_those(ticket, gita):
    Contact.objects.filter(pk=gita.pk).update(sees=Contact.Sees.OWN)
    assert readers(ticket, gita) == []
    assert readers(file(gita), gita) == [gita]


def test_bookkeeper_admin_partner_stranger_and_visitor_read_no_words(ticket, edda, finn, jo, cleo):
    for user in [edda, finn, jo.user, cleo, AnonymousUser()]:
        assert not Ticket.objects.visible_to(user).exists()


def test_a_client_does_not_see_that_notes_were_written(ticket, hal, ana):
    handout.accept(offer_of(ticket), ana)
    actions.note(ticket, ana.user, "Looks like the umask again.")
    assert "noted" not in Event.objects.visible_to(hal.user).values_list("kind", flat=True)
    assert "noted" in Event.objects.visible_to(ana.user).values_list("kind", flat=True)


def test_an_offer_is_seen_by_its_member_alone(ticket, ana, bo, hal):
    assert Offer.objects.visible_to(ana.user).count() == 1
    assert not Offer.objects.visible_to(bo.user).exists()
    assert not Offer.objects.visible_to(hal.user).exists()


def test_a_member_who_left_sees_no_offer_and_no_desk(ticket, browse, ana, lima):
    offer = offer_of(ticket)
    Member.objects.filter(pk=lima.pk).update(status=Member.Status.LEFT)
    browser = browse(ana)
    assert browser.get(f"/offers/{offer.pk}/").status_code == 404
    assert ticket.subject not in browser.get("/home/").content.decode()
    assert browser.get("/queue/").status_code == 403
