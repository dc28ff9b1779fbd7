"""The part of the demo's week that is over: what clients asked, who took it, how it was solved. Invented."""

from __future__ import annotations

from billing.actions import grant_pack
from billing.models import Pack
from tickets.actions import Filing
from tickets.models import Ticket

from . import calendars
from .demo import Cast
from .demo_files import log_file, screenshot
from .demo_telling import Begun, Tale, actions, begins, handout, later, offer_of, words

Verdict = Ticket.Verdict
BEFORE: list[Begun[Cast]] = []
ROOTS_FILES = "\n".join(
    f"-rw-r--r-- 1 root root {900 + 37 * place} /var/aegir/{name}.alias.drushrc.php"
    for place, name in enumerate(
        ["platform_drupal103", "server_master", "server_localhost", "hostmaster", "hm", *[f"site{n}" for n in range(8)]]
    )
)


@begins(BEFORE, days=6, hours=22)
def dovetail_buys_a_pack(cast: Cast) -> Tale:
    """Three tickets a year are few."""
    grant_pack(cast.dovetail, Pack.objects.get(code="pack-3", on_sale=True), starts_on=calendars.today())
    yield later()


@begins(BEFORE, days=6, hours=20)
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
            files=[
                screenshot(
                    "verify-failed.png",
                    "https://aegir.riverbank.example/hosting/queues",
                    "Verify: drupal-10.3",
                    [
                        "Task failed",
                        "Could not write site alias in /var/aegir/.drush/platform_drupal103.alias.drushrc.php",
                        "The command could not be executed successfully (returned: , code: 0)",
                    ],
                ),
            ],
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
        files=[log_file("owned-by-root.txt", ROOTS_FILES)],
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


@begins(BEFORE, days=6, hours=3)
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


@begins(BEFORE, days=5, hours=22)
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


@begins(BEFORE, days=3, hours=7)
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


@begins(BEFORE, days=3, hours=1)
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


@begins(BEFORE, days=2, hours=9)
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
