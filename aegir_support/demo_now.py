"""The part of the demo's week that goes on: solved but not confirmed, reopened, in progress, on offer. Invented."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from tickets.actions import Filing
from tickets.models import Ticket

from . import calendars
from .demo import Cast
from .demo_files import log_file, screenshot
from .demo_telling import Begun, Tale, actions, begins, handout, later, members, offer_of, words

Verdict = Ticket.Verdict
NOW: list[Begun[Cast]] = []
FPM_IS_AWAY = "\n".join(
    f"06:14:{second:02} [crit] 812#812: *{second + 40} connect() to unix:/run/php/php8.2-fpm.sock failed "
    "(2: No such file or directory) while connecting to upstream"
    for second in range(3, 58, 4)
)


@begins(NOW, days=5, hours=4)
def clone_cannot_write_settings(cast: Cast) -> Tale:
    """Refused, not answered in time, taken by the third, handed over, solved; the client has not confirmed yet."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="Cloning the intranet to aegir02 stops half-way",
            severity=3,
            channel="ssh",
            server=cast.aegir01,
            description=words("""
                Clone of `intranet.riverbank.example` to the server aegir02:

                > Could not write settings.php, and the database is created but empty

                The clone task says *failed* and rolls back, but leaves the database user behind, so a second try ends
                with `Operation CREATE USER failed`. You may log in to both servers.
            """),
        ),
    )
    yield later(minutes=21)
    handout.refuse(offer_of(ticket), cast.ana)
    # Bo is on a train and does not see the offer; it passes on after two hours.
    yield later(hours=2, minutes=12)
    handout.accept(offer_of(ticket), cast.denis)
    yield later(minutes=18)
    actions.reply(
        ticket,
        cast.denis.user,
        words("""
            I have it. Before I clean anything up: is the group of `/var/aegir/platforms` on aegir02 meant to be
            `www-data`, or did that come with the new image?
        """),
        wait=True,
    )
    yield later(hours=1, minutes=31)
    actions.reply(ticket, cast.hal.user, "That came with the image. On aegir01 it is `aegir`, as it should be.")
    yield later(minutes=26)
    actions.note(
        ticket,
        cast.denis.user,
        words("""
            Group is one thing, the left-over user another: `provision_mysql` grants to `'intranet_0'@'10.0.3.%'` and
            drops `'intranet_0'@'10.0.3.7'`. Bo has fixed just this for another client in autumn.
        """),
    )
    handout.hand_over(ticket, cast.denis.user, cast.veldwerk)
    yield later(minutes=38)
    handout.accept(offer_of(ticket), cast.bo)
    yield later(minutes=44)
    actions.reply(
        ticket,
        cast.bo.user,
        words("""
            Hello Hal, I have taken this over from Denis, who has told me everything so far. The group is corrected on
            aegir02; I am testing the clone with a small site first.
        """),
    )
    yield later(hours=17)
    actions.judge(ticket, cast.bo.user, Verdict.IN_SCOPE)
    actions.solve(
        ticket,
        cast.bo.user,
        words("""
            The intranet is cloned, and answers on aegir02. Two things were wrong:

            | what | where | now |
            |---|---|---|
            | group of the platforms folder | aegir02, from the image | `aegir`, set-gid |
            | database user left behind | `provision_mysql`, host pattern | dropped by hand, twice |

            Please look at a few pages that use uploads, and tell us.
        """),
    )


@begins(NOW, days=4, hours=5)
def the_members_meet(cast: Cast) -> Tale:
    """For an hour nobody is there, and a ticket waits."""
    for member in [cast.lima, cast.veldwerk, cast.boreal]:
        members.go_away(member, calendars.today() + timedelta(days=3))
    yield later(minutes=55)
    for member in [cast.veldwerk, cast.lima, cast.boreal]:
        members.come_back(member)
    actions.sweep(timezone.now())


@begins(NOW, days=4, hours=4, minutes=40)
def https_on_an_alias(cast: Cast) -> Tale:
    """Waits for the members' meeting to end; now it waits for the client."""
    ticket = actions.file_ticket(
        cast.iris,
        Filing(
            subject="hosting_https: an alias gets no certificate of its own",
            severity=3,
            server=cast.studio01,
            description=words("""
                `shop.tilda.example` is an alias of `tilda.example` with *redirect all aliases* switched off. The main
                name has a certificate, the alias shows the certificate of **another client** of ours. Embarrassing.
            """),
        ),
    )
    yield later(minutes=50)
    handout.accept(offer_of(ticket), cast.bo)
    yield later(minutes=25)
    actions.reply(
        ticket,
        cast.bo.user,
        words("""
            That is nginx showing its first certificate to a name it does not know. The alias was added after the
            certificate was made, and Ægir asks for a new one only at the next verify.

            Could you verify the site (*Run → Verify*), and send me the part of its log between `letsencrypt` and
            `nginx`? Then I see whether the alias is asked for.
        """),
        wait=True,
    )


@begins(NOW, days=2, hours=6)
def migrate_to_php_83(cast: Cast) -> Tale:
    """Solved, confirmed, and reopened: its last assignee is asked first."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="Migrate three sites to the platform with PHP 8.3",
            severity=3,
            server=cast.aegir01,
            description=words("""
                Debian 12 brings PHP 8.2, and we have 8.3 beside it from the Sury packages. Three sites should move to
                the new platform `drupal-10.3-php83`. How do we tell Ægir which PHP a *platform* uses?
            """),
        ),
    )
    yield later(minutes=22)
    handout.accept(offer_of(ticket), cast.bo)
    yield later(hours=1, minutes=10)
    actions.judge(ticket, cast.bo.user, Verdict.IN_SCOPE)
    actions.solve(
        ticket,
        cast.bo.user,
        words("""
            With `hosting_tasks_extra` the platform's edit form has a *PHP version*. Choose 8.3 there, verify the
            platform, then migrate the sites one by one, the smallest first. Ægir keeps a backup of each and moves it
            back if the migration fails.

            For the cron of Drush, which does not go through FPM:

            ```
            echo 'export PATH=/opt/php8.3/bin:$PATH' >> /var/aegir/.profile
            ```
        """),
    )
    yield later(hours=7)
    actions.confirm(ticket, cast.hal.user)
    yield later(days=1, hours=1)
    actions.reopen(
        ticket,
        cast.hal.user,
        words("""
            Two of three are over, and fast. The third, `events.riverbank.example`, migrates, but its cron still runs
            with 8.2:

            ```
            PHP Fatal error: Composer detected issues in your platform: Your Composer dependencies require
            a PHP version ">= 8.3.0". You are running 8.2.20.
            ```
        """),
    )
    yield later(minutes=28)
    handout.accept(offer_of(ticket), cast.bo)
    yield later(minutes=35)
    actions.reply(
        ticket,
        cast.bo.user,
        "Its cron is run by `hosting-queued`, which keeps the PATH it was started with. I check before you restart it.",
    )


@begins(NOW, hours=9)
def bad_gateway_everywhere(cast: Cast) -> Tale:
    """Down: taken within minutes, and worked on now."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="All sites on aegir02 answer 502",
            severity=1,
            channel="ssh",
            description=words("""
                Since a few minutes **every** site on aegir02 answers *502 Bad Gateway*. aegir01 is fine. Last thing
                done: unattended upgrades at six.

                ```
                connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory)
                ```
            """),
            files=[
                screenshot(
                    "502.png",
                    "https://events.riverbank.example/",
                    "502 Bad Gateway",
                    ["nginx/1.22.1", "All sites on aegir02, since 06:14"],
                ),
                log_file("nginx-error.log", FPM_IS_AWAY),
            ],
        ),
    )
    yield later(minutes=4)
    handout.accept(offer_of(ticket), cast.ana)
    yield later(minutes=7)
    actions.judge(ticket, cast.ana.user, Verdict.IN_SCOPE)
    actions.reply(
        ticket,
        cast.ana.user,
        words("""
            I am on it. The upgrade has brought a second FPM pool, and both want the same socket, so neither starts. To
            bring the sites back at once:

            ```
            mv /etc/php/8.2/fpm/pool.d/www.conf{,.off}
            systemctl restart php8.2-fpm
            ```
        """),
    )
    yield later(minutes=6)
    actions.reply(ticket, cast.hal.user, "Sites are **back**. You are wonderful. Can this happen again tonight?")
    yield later(minutes=31)
    actions.note(
        ticket,
        cast.ana.user,
        "Same image as in the clone ticket. Ask Bo whether he has seen `www.conf` come back on Debian 12.",
    )
    yield later(minutes=4)
    actions.reply(
        ticket,
        cast.ana.user,
        words("""
            It can, as long as the package thinks the file is missing by mistake. I am preparing a divert that survives
            upgrades, and will try it on a copy of your server before tonight.
        """),
    )


@begins(NOW, hours=2, minutes=40)
def composer_runs_out_of_memory(cast: Cast) -> Tale:
    """Refused by all three within an hour: open to every member, and the coordinator knows."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="hosting_git: building the platform with Composer runs out of memory",
            severity=3,
            server=cast.aegir01,
            description=words("""
                Creating a platform from our Git repository stops while Composer installs:

                ```
                mmap() failed: [12] Cannot allocate memory
                Fatal error: Out of memory (allocated 1610625024)
                ```

                The server has 8 GB, most of it free. By hand, as the user *aegir*, the same command runs through.
            """),
        ),
    )
    yield later(minutes=14)
    handout.refuse(offer_of(ticket), cast.chloe, "No time for it before Thursday")
    yield later(minutes=11)
    handout.refuse(offer_of(ticket), cast.bo)
    yield later(minutes=19)
    handout.refuse(offer_of(ticket), cast.ana)


@begins(NOW, minutes=41)
def restore_a_deleted_site(cast: Cast) -> Tale:
    """On offer now, with time left."""
    actions.file_ticket(
        cast.iris,
        Filing(
            subject="Restore a site that was deleted yesterday",
            severity=3,
            server=cast.studio01,
            description=words("""
                A colleague deleted `spring-fair.example` in the front end. Ægir made a backup when deleting it, I see
                the `.tar.gz` in `/var/aegir/backups`. What is the right way to get the site back, with its database and
                under the same name?
            """),
        ),
    )
    yield later()


@begins(NOW, minutes=26)
def how_long_backups_are_kept(cast: Cast) -> Tale:
    """On offer too; a small question leaves more time to answer."""
    actions.file_ticket(
        cast.gita,
        Filing(
            subject="Which backups does Ægir keep, and for how long?",
            severity=4,
            description=words("""
                Our auditors ask for a sentence on retention. Where is it set how many backups of a site are kept, and
                does deleting a site delete them too?
            """),
        ),
    )
    yield later()


@begins(NOW, minutes=2)
def dispatch_does_nothing(cast: Cast) -> Tale:
    """Has just arrived."""
    actions.file_ticket(
        cast.hal,
        Filing(
            subject="Tasks stay queued since the move of the hostmaster",
            severity=2,
            server=cast.aegir01,
            description=words("""
                We moved the hostmaster to another name with `hostmaster-migrate`. Since then tasks stay *queued* for
                ever, and the log of `hosting-queued` says only:

                ```
                Could not find a Drush alias for @hostmaster
                ```

                Sites are up; we cannot create or verify any.
            """),
        ),
    )
    yield later()
