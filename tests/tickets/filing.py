"""Short forms the ticket tests share."""

from tickets import actions


def file(
    contact, subject="Verify task fails after the upgrade", description="Every verify ends with an error.", **facts
):
    """File a ticket as this contact."""
    return actions.file_ticket(contact, actions.Filing(subject=subject, description=description, **facts))


def offer_of(ticket):
    """The open offer of a ticket."""
    return ticket.offers.open().get()
