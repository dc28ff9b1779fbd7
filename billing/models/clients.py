"""Who buys: clients, their people, their installations and servers."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from members.access import Visitor, is_person
from members.models import Calendar, User


class Client(models.Model):
    """An organisation that buys support."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    country = models.CharField(
        _("country"),
        max_length=2,
        validators=[RegexValidator(r"^[A-Z]{2}$", _("A country is two capital letters, such as NL."))],
        help_text=_("Two letters, such as NL."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    calendar = models.ForeignKey(Calendar, models.PROTECT, verbose_name=_("business hours"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="client_currency_is_a_code",
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                violation_error_message=_("A currency is three capital letters, such as EUR."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Contact(models.Model):
    """A person of a client, with a role and a sharing rule."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        BILLING = "billing", _("billing")
        TECHNICAL = "technical", _("technical")
        WATCHER = "watcher", _("watcher")

    class Sees(models.TextChoices):
        ALL = "all", _("all tickets of the client")
        OWN = "own", _("only tickets they filed")

    user = models.OneToOneField(User, models.PROTECT, related_name="contact", verbose_name=_("person"))
    client = models.ForeignKey(Client, models.PROTECT, related_name="contacts", verbose_name=_("client"))
    role = models.CharField(_("role"), max_length=10, choices=Role)
    sees = models.CharField(_("sees"), max_length=4, choices=Sees, default=Sees.ALL)

    class Meta:
        ordering = ["user__name"]
        constraints = [
            models.CheckConstraint(
                name="contact_role_is_known", condition=Q(role__in=["owner", "billing", "technical", "watcher"])
            ),
            models.CheckConstraint(name="contact_sees_all_or_own", condition=Q(sees__in=["all", "own"])),
        ]

    def __str__(self) -> str:
        return self.user.name

    def clean(self) -> None:
        # One login is on one side of a ticket; somebody on both has a second address.
        if self.user_id and self.user.member is not None:
            raise ValidationError(
                {"user": _("This person acts for a member. A client's contact has a login of its own.")}
            )

    @property
    def may_file(self) -> bool:
        """A watcher reads; everybody else may ask."""
        return self.role != self.Role.WATCHER

    @property
    def sees_all(self) -> bool:
        """False for somebody who sees only what they filed themselves."""
        return self.sees == self.Sees.ALL

    @property
    def is_invited(self) -> bool:
        """They have an invitation and have not come in yet."""
        return self.user.last_login is None

    @property
    def may_invite(self) -> bool:
        return self.role == self.Role.OWNER


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        """Those who have not come in yet."""
        return self.filter(Q(contact=None) | Q(contact__user__last_login=None))


class Invitation(models.Model):
    """Somebody whom a client's owner has asked in.

    It is there, and looks the same, whether a job could make an account or found that the address has one elsewhere:
    the owner of a client must not learn who else has an account.
    """

    client = models.ForeignKey(Client, models.PROTECT, related_name="invitations", verbose_name=_("client"))
    email = models.EmailField(_("e-mail address"))
    name = models.CharField(_("name"), max_length=120)
    role = models.CharField(_("role"), max_length=10, choices=Contact.Role)
    sees = models.CharField(_("sees"), max_length=4, choices=Contact.Sees, default=Contact.Sees.ALL)
    by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("by"))
    contact = models.OneToOneField(
        Contact, models.CASCADE, null=True, blank=True, related_name="invitation", verbose_name=_("contact")
    )
    invited_at = models.DateTimeField(_("invited"), default=timezone.now)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(name="invitation_once_for_an_address", fields=["client", "email"]),
            models.CheckConstraint(
                name="invitation_role_is_known", condition=Q(role__in=["owner", "billing", "technical", "watcher"])
            ),
            models.CheckConstraint(name="invitation_sees_all_or_own", condition=Q(sees__in=["all", "own"])),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


def contact_of(user: Visitor) -> Contact | None:
    """The contact this person is, if they are one; the client comes with it. Asked once for each `user` in memory."""
    if not is_person(user):
        return None
    known = vars(user)
    if "_contact" not in known:
        known["_contact"] = Contact.objects.select_related("client__calendar").filter(user=user).first()
    contact: Contact | None = known["_contact"]
    return contact


class Installation(models.Model):
    """An Ægir installation: its version, and the servers that belong together."""

    client = models.ForeignKey(Client, models.PROTECT, related_name="installations", verbose_name=_("client"))
    name = models.CharField(_("name"), max_length=120)
    aegir_version = models.CharField(_("Ægir version"), max_length=40, blank=True)
    operating_system = models.CharField(_("operating system"), max_length=80, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(name="installation_name_once_per_client", fields=["client", "name"]),
        ]

    def __str__(self) -> str:
        return self.name


class ServerQuerySet(models.QuerySet["Server"]):
    def of(self, client: Client) -> ServerQuerySet:
        return self.filter(installation__client=client).select_related("installation")


class Server(models.Model):
    """A client's machine with its CPU count, part of one installation."""

    installation = models.ForeignKey(Installation, models.PROTECT, related_name="servers")
    hostname = models.CharField(_("host name"), max_length=253, unique=True)
    cpus = models.PositiveSmallIntegerField(
        _("CPUs"), help_text=_("Occupied sockets; a virtual server counts 1 per started 8 vCPU.")
    )

    objects = ServerQuerySet.as_manager()

    class Meta:
        ordering = ["hostname"]
        constraints = [models.CheckConstraint(name="server_has_a_cpu", condition=Q(cpus__gt=0))]

    def __str__(self) -> str:
        return self.hostname

    @property
    def cpus_text(self) -> str:
        return ngettext("%(n)d CPU", "%(n)d CPUs", self.cpus) % {"n": self.cpus}
