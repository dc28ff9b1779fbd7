"""The week the demo shows: what clients asked, who took it, and how it went. Invented, and the same on every run.

Each tale begins so long before now and is told through the actions; a `yield` lets time pass. Times are counted back
from now rather than set by the clock, so that open offers and deadlines are alive whenever the demo is first started.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from billing.actions import grant_pack
from billing.models import Pack
from members import actions as members
from tickets import actions, handout
from tickets.actions import Filing
from tickets.models import Offer, Ticket

from . import calendars
from .demo import Cast
from .demo_clock import Begun, Tale

Verdict = Ticket.Verdict
WEEK: list[Begun[Cast]] = []


def begins(
    *, days: int = 0, hours: int = 0, minutes: int = 0
) -> Callable[[Callable[[Cast], Tale]], Callable[[Cast], Tale]]:
    """Put a tale into the week, so long before now."""

    def put(tale: Callable[[Cast], Tale]) -> Callable[[Cast], Tale]:
        WEEK.append((timedelta(days=days, hours=hours, minutes=minutes), tale))
        return tale

    return put


def later(*, days: int = 0, hours: int = 0, minutes: int = 0) -> timedelta:
    return timedelta(days=days, hours=hours, minutes=minutes)


def words(text: str) -> str:
    return textwrap.dedent(text).strip()


def offer_of(ticket: Ticket) -> Offer:
    return ticket.offers.open().get()


@begins(days=6, hours=22)
def dovetail_buys_a_pack(cast: Cast) -> Tale:
    """Three tickets a year are few."""
    grant_pack(cast.dovetail, Pack.objects.get(code="pack-3", on_sale=True), starts_on=calendars.today())
    yield later()


@begins(days=6, hours=20)
def verify_fails_after_the_upgrade(cast: Cast) -> Tale:
    """From question to confirmed answer, the way it should be."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="Verify task fails after the upgrade to 3.192",
            severity=2,
            server=cast.aegir01,
            description=words("""
                We upgraded the hostmaster from 3.191 to 3.192 last night. Since then every verify of the platform
                `drupal-10.3` ends with:

                ```
                Could not write site alias in /var/aegir/.drush/platform_drupal103.alias.drushrc.php
                The command could not be executed successfully (returned: , code: 0)
                ```

                Sites are up, but we cannot deploy. What I tried:

                1. ran the verify task again from the front end: same
                2. `drush @hostmaster hosting-dispatch` as **aegir**: same
                3. as *root* it works, which makes me nervous
            """),
        ),
    )
    yield later(minutes=12)
    handout.accept(offer_of(ticket), cast.ana)
    yield later(minutes=14)
    actions.reply(
        ticket,
        cast.ana.user,
        words("""
            Thank you, that is a clear report. I suspect that the upgrade ran partly as root. Please send me what this
            says, it changes nothing:

            ```
            find /var/aegir/.drush /var/aegir/config ! -user aegir -ls
            ```
        """),
        wait=True,
    )
    yield later(minutes=47)
    actions.reply(
        ticket,
        cast.hal.user,
        words("""
            There you are, thirteen files, all from 02:10:

            ```
            -rw-r--r-- 1 root root 1204 /var/aegir/.drush/platform_drupal103.alias.drushrc.php
            -rw-r--r-- 1 root root  988 /var/aegir/.drush/server_master.alias.drushrc.php
            …
            ```

            So yes, somebody (me) ran the upgrade script with `sudo`.
        """),
    )
    yield later(minutes=9)
    actions.note(
        ticket, cast.ana.user, "Third time this month that the upgrade was run as root. The script should refuse it."
    )
    actions.judge(ticket, cast.ana.user, Verdict.IN_SCOPE)
    yield later(minutes=6)
    actions.solve(
        ticket,
        cast.ana.user,
        words("""
            It happens to all of us. Give the files back to aegir, then verify in this order, server first:

            ```
            chown -R aegir:aegir /var/aegir/.drush /var/aegir/config
            sudo -u aegir drush @server_master provision-verify
            sudo -u aegir drush @platform_drupal103 provision-verify
            ```

            The queue picks up the rest by itself. Next time: `sudo -u aegir -i` before the upgrade script.
        """),
    )
    yield later(hours=2, minutes=20)
    actions.confirm(ticket, cast.hal.user)


@begins(days=6, hours=3)
def certificates_are_not_renewed(cast: Cast) -> Tale:
    ticket = actions.file_ticket(
        cast.iris,
        Filing(
            subject="Let's Encrypt certificates are not renewed",
            severity=2,
            server=cast.studio01,
            description=words("""
                Two sites got a warning mail from Let's Encrypt: their certificates end in nine days. In Ægir the
                `https` settings say *Let's Encrypt*, and verifying the site says:

                ```
                Challenge is invalid! (returned: invalid)
                "detail": "404 for http://tilda.example/.well-known/acme-challenge/…"
                ```

                Nothing was changed on our side, except that we moved nginx in front of Apache in spring.
            """),
        ),
    )
    yield later(minutes=8)
    handout.accept(offer_of(ticket), cast.bo)
    yield later(minutes=20)
    actions.reply(
        ticket,
        cast.bo.user,
        words("""
            "Except that" is it, I think: the challenge files lie where Apache serves them, and nginx answers first.

            I would add one location to the nginx in front, before the `proxy_pass`. May I log in and do it, or do you
            prefer to do it yourself?
        """),
        wait=True,
    )
    yield later(hours=1, minutes=5)
    actions.reply(ticket, cast.iris.user, "Tell me and I do it, please. I like to know what is in there.")
    yield later(minutes=30)
    actions.judge(ticket, cast.bo.user, Verdict.IN_SCOPE)
    actions.solve(
        ticket,
        cast.bo.user,
        words("""
            In `/etc/nginx/sites-available/front.conf`, inside each `server { listen 80; … }`:

            ```nginx
            location ^~ /.well-known/acme-challenge/ {
                alias /var/aegir/config/letsencrypt.d/well-known/acme-challenge/;
                try_files $uri =404;
            }
            ```

            Then `nginx -t && systemctl reload nginx`, and verify the two sites in Ægir. The renewal runs weekly from
            now on; you can see its last run in the log of the site's verify task.
        """),
    )
    yield later(hours=18)
    actions.confirm(ticket, cast.iris.user)


@begins(days=5, hours=22)
def two_more_cpus(cast: Cast) -> Tale:
    """A question about the bill costs nothing."""
    ticket = actions.file_ticket(
        cast.gita,
        Filing(
            subject="How do we add a server with two more CPUs?",
            severity=4,
            description=words("""
                We plan a third server in January (two sockets). Do we need a new subscription, and does the price start
                in the middle of our term?
            """),
        ),
    )
    yield later(minutes=35)
    handout.accept(offer_of(ticket), cast.chloe)
    yield later(minutes=25)
    actions.judge(ticket, cast.chloe.user, Verdict.QUESTION)
    actions.solve(
        ticket,
        cast.chloe.user,
        words("""
            One subscription covers all servers of one installation, so you add two CPUs to the one you have: you pay
            for the days that are left of the term, and get ten tickets per CPU and year for the same days.

            Questions like this one do not use a ticket.
        """),
    )
    yield later(hours=3)
    actions.confirm(ticket, cast.gita.user)


@begins(days=5, hours=4)
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


@begins(days=4, hours=5)
def the_members_meet(cast: Cast) -> Tale:
    """For an hour nobody is there, and a ticket waits."""
    for member in [cast.lima, cast.veldwerk, cast.boreal]:
        members.go_away(member, calendars.today() + timedelta(days=3))
    yield later(minutes=55)
    for member in [cast.veldwerk, cast.lima, cast.boreal]:
        members.come_back(member)
    actions.sweep(timezone.now())


@begins(days=4, hours=4, minutes=40)
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


@begins(days=3, hours=7)
def theme_after_the_civicrm_upgrade(cast: Cast) -> Tale:
    """Out of scope: released, and said kindly."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="CiviCRM upgrade to 5.75: the membership page has lost its layout",
            severity=3,
            server=cast.aegir01,
            description=words("""
                We upgraded CiviCRM with the platform migration as in your guide. It works, but the membership page of
                `friends.riverbank.example` shows all fields in one long column.
            """),
        ),
    )
    yield later(minutes=17)
    handout.accept(offer_of(ticket), cast.ana)
    yield later(minutes=33)
    actions.note(
        ticket,
        cast.ana.user,
        "Their theme overrides the template: `sites/all/themes/riverbank/civicrm/…/MembershipBlock.tpl`. Not ours.",
    )
    actions.judge(ticket, cast.ana.user, Verdict.OUT_OF_SCOPE)
    actions.solve(
        ticket,
        cast.ana.user,
        words("""
            The upgrade itself is fine. Your theme brings its own copy of `MembershipBlock.tpl`, made for CiviCRM 5.50,
            and the markup has changed since.

            Work on a theme is outside of what support covers, so **this ticket does not count**. Whoever made the theme
            can fix it in an hour; if you have nobody, tell us and we name a firm that does such work.
        """),
    )
    yield later(hours=5)
    actions.confirm(ticket, cast.hal.user)


@begins(days=3, hours=1)
def backups_fill_the_disk(cast: Cast) -> Tale:
    """A defect of the product does not count either."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="Deleted backups come back and fill the disk",
            severity=2,
            server=cast.aegir01,
            description=words("""
                `/var/aegir/backups` is at 96 %. Backups that we delete in the front end are gone from the list but not
                from the disk; the next verify lists them again.

                ```
                $ du -sh /var/aegir/backups
                412G    /var/aegir/backups
                ```
            """),
        ),
    )
    yield later(minutes=9)
    handout.accept(offer_of(ticket), cast.chloe)
    yield later(minutes=21)
    actions.reply(
        ticket,
        cast.chloe.user,
        words("""
            First some air: `find /var/aegir/backups -name '*.tar.gz' -mtime +60 -print` lists what is older than two
            months. If you agree with the list, run it again with `-delete`. Then I look for the reason.
        """),
        wait=True,
    )
    yield later(minutes=40)
    actions.reply(ticket, cast.hal.user, "Agreed and deleted, we are at 61 %. Thank you for the quick answer!")
    yield later(hours=2, minutes=15)
    actions.judge(ticket, cast.chloe.user, Verdict.DEFECT)
    actions.solve(
        ticket,
        cast.chloe.user,
        words("""
            Found: `hosting_site_backup_manager` deletes with the path of the *old* backup folder when
            `provision_backup_directory` has been changed. A **defect of ours**, so it costs you no ticket.

            The fix is in review and comes with the next release. Until then I have put the patch on aegir01:

            ```diff
            -  $file = d()->aegir_root . '/backups/' . $name;
            +  $file = d()->backup_path . '/' . $name;
            ```
        """),
    )
    yield later(hours=4)
    actions.confirm(ticket, cast.gita.user)


@begins(days=2, hours=9)
def it_was_our_dns(cast: Cast) -> Tale:
    """Withdrawn before anybody took it: nothing is charged, and nobody's turn is used."""
    ticket = actions.file_ticket(
        cast.hal,
        Filing(
            subject="New site cannot be reached from outside",
            severity=3,
            server=cast.aegir01,
            description="`quiet-room.riverbank.example` verifies fine but does not answer from outside the building.",
        ),
    )
    yield later(minutes=16)
    actions.withdraw(ticket, cast.hal.user)


@begins(days=2, hours=6)
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


@begins(hours=9)
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


@begins(hours=2, minutes=40)
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


@begins(minutes=41)
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


@begins(minutes=26)
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


@begins(minutes=2)
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
