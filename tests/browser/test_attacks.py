"""Words of strangers stay words: every attack there is, in every place that shows what people wrote, in Chromium.

Each page is drawn twice, behind our content security policy and without it: the cleaning alone must hold, and so must
the policy, as the controls show. Then all of it is replaced by plain words, and the page must be built as before.
"""

import re
from functools import partial

import pytest
from django.test import Client as Browser
from django.utils import timezone

from aegir_support import calendars, text
from aegir_support.models import Outbox
from billing.models import Contact, Grant, Installation, Server
from members import actions as members
from members.models import Member, User
from tests.attacks import ATTACKS
from tests.files.samples import kept
from tests.hostile.payloads import everything, kept_here, naughty, sample
from tests.tickets.filing import file, offer_of
from tickets import actions, handout
from tickets.models import Event, Message, Offer, Ticket

pytestmark = pytest.mark.browser

TRAP = """
  window.ran = []; window.reports = [];
  for (const name of ['alert', 'confirm', 'prompt', 'print', 'open'])
    window[name] = (x) => { window.ran.push(name + x); };
  addEventListener('securitypolicyviolation', (e) => window.reports.push(e.violatedDirective + ' ' + e.blockedURI));
"""
# Touch what waits for a hand: handlers that need the pointer, the focus or a click.
POKE = """for (const each of document.querySelectorAll('main *'))
  for (const name of ['mouseover', 'focus', 'toggle', 'begin', 'error', 'load', 'animationend', 'transitionend'])
    each.dispatchEvent(new Event(name))"""
# How a page is built: tags and the names of attributes, in any order of rows, without the words and without what
# stands in the box where Markdown is shown.
BUILT = """(() => {
  const of = (node) => {
    const names = [...node.attributes].map((each) => each.name).sort().join(',');
    const inside = node.matches('.prose') ? 'box' : [...new Set([...node.children].map(of))].sort().join('');
    return '<' + node.tagName + ' ' + names + '>' + inside;
  };
  return of(document.body);
})()"""
IN_BOXES = """[...document.querySelectorAll('.prose *:not(.attachments, .attachments *)')]
  .flatMap((each) => [each.tagName.toLowerCase(), ...[...each.attributes].map((a) => '@' + a.name + '=' + a.value)])"""
HARMLESS = {
    *("p", "br", "hr", "blockquote", "ul", "ol", "li", "pre", "code", "em", "strong", "s", "a"),
    *("table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"),
}
REL = "@rel=nofollow noopener noreferrer ugc"
# What our own pages fetch by themselves.
FETCHED = ("/static/", "/queue/offers/", "/attachments/", "/admin/jsi18n/")
CLIENTS_PAGES = ["/home/", "/contacts/", "/servers/", "/tickets/new/", "/subscription/"]
A_PAGE = 40  # how many are said on one ticket


def quick():
    return [*ATTACKS, *sample(naughty(), 25)]


REACH = pytest.mark.parametrize(
    "texts", [pytest.param(quick, id="some"), pytest.param(everything, id="all", marks=pytest.mark.long)]
)


def one_lines(texts, longest):
    """What is left of each as one line, where something is left."""
    cut = (text.one_line(each)[:longest].strip() for each in texts)
    return [each for each in dict.fromkeys(cut) if each and not each.isspace()]


class Stage:
    """All of the texts in all of the places, and the pages that show them."""

    def __init__(self, cast, texts):
        self.cast, self.texts = cast, texts
        today = calendars.today()
        Grant.objects.create(
            client=cast.riverbank, kind=Grant.Kind.STAFF, starts_on=today, ends_on=today.replace(year=today.year + 1),
            given_by=cast.finn, reason="For attacks",
        )  # fmt: skip
        self._subjects_and_words()
        self._names()

    def _subjects_and_words(self):
        self.subjects = one_lines(self.texts, 200)
        self.talks = [self._talk(self.texts[first : first + A_PAGE]) for first in range(0, len(self.texts), A_PAGE)]
        first = Ticket.objects.get(pk=self.talks[0].pk)
        facts = {field.name: getattr(first, field.name) for field in Ticket._meta.fields if field.name != "number"}
        del facts["filing_key"]
        Ticket.objects.bulk_create(Ticket(**facts | {"subject": each}) for each in self.subjects)

    def _talk(self, texts):
        """One ticket on which all of them are said, by the client, by us and as notes, with a file of that name."""
        hal = self.cast.hal
        ticket = file(hal, subject=one_lines(texts, 200)[0], description=texts[0])
        offer = offer_of(ticket)
        ticket = handout.accept(offer, offer.member.representatives.first())
        by = ticket.assignee.user
        for number, each in enumerate(texts):
            if not text.clean(each).strip():
                continue
            files = [kept(f"{text.one_line(each)[:90]} x.txt", b"words")] if number % 8 == 0 else []
            actions.reply(ticket, hal.user if number % 2 else by, text.clean(each), files=files)
            actions.note(ticket, by, text.clean(each))
        return Ticket.objects.get(pk=ticket.pk)

    def _names(self):
        names = one_lines(self.texts, 110)
        now = timezone.now()
        people = User.objects.bulk_create(
            User(email=f"guest{n}@riverbank.example", name=name, last_login=now) for n, name in enumerate(names)
        )
        Contact.objects.bulk_create(Contact(user=each, client=self.cast.riverbank, role="technical") for each in people)
        self.names = names
        home = Installation.objects.create(client=self.cast.riverbank, name=names[0], operating_system=names[1][:80])
        self.hosts = [f"{name} {n}" for n, name in enumerate(names)]
        Server.objects.bulk_create(Server(installation=home, hostname=each, cpus=1) for each in self.hosts)
        for name in names[:30]:
            members.admit(Member.objects.create(name=name, kind=Member.Kind.PERSON, country="NL"))
        # Whoever speaks and is shown on the tickets goes by such a name as well.
        User.objects.filter(pk=self.cast.gita.user_id).update(name=names[2])

    def addresses(self):
        """Who reads which pages."""
        talks = [f"/tickets/{each.number}/" for each in self.talks]
        lists = ["/tickets/?show=all", *self._older()]
        subjects = Ticket.objects.exclude(pk__in=[each.pk for each in self.talks]).values_list("pk", flat=True)
        each_its_own = [f"/tickets/{pk}/" for pk in sample(list(subjects), 8 if len(self.texts) < 200 else 20)]
        return {
            "hal": [*talks, *lists, *each_its_own, *CLIENTS_PAGES],
            "ana": [talks[0], "/queue/", "/tickets/", "/home/"],
            "chloe": [*talks, "/home/", "/queue/"],
            "edda": ["/books/", "/home/"],
            "finn": ["/admin/members/user/", "/admin/members/member/", "/admin/billing/installation/", "/demo/mail/"],
        }

    def _older(self):
        browser, found, address = Browser(), [], "/tickets/?show=all"
        browser.force_login(User.objects.get(pk=self.cast.hal.user_id))
        while len(found) < 40:
            page = browser.get(address).content.decode()
            more = re.search(r'href="(\?[^"]*before=[^"]*)"', page)
            if not more:
                return found
            address = "/tickets/" + more[1].replace("&amp;", "&")
            found.append(address)
        return found

    def become_plain(self):
        """The same rows, with plain words in each place."""
        Ticket.objects.update(subject="Plain words")
        Message.objects.update(body="Plain words", html="<p>Plain words</p>")
        Event.objects.exclude(detail="").update(detail="Plain words")
        Offer.objects.exclude(reason="").update(reason="Plain words")
        User.objects.update(name="Plain words")


class Seen:
    """What happened in one browser: scripts that ran, reports of the policy, and calls to anywhere."""

    def __init__(self, page, site):
        self.page, self.site = page, site
        self.faults, self.built, self.words, self.drawn = [], {}, {}, 0
        page.add_init_script(TRAP)
        page.context.route("**/*", self._ask)

    def _ask(self, route):
        request = route.request
        ours = request.url.startswith(self.site)
        path = request.url.removeprefix(self.site)
        known = request.is_navigation_request() or path.startswith(FETCHED)
        if ours and known and request.method == "GET":
            return route.continue_()
        self.faults.append(f"asks {request.method} {request.url[:80]}")
        return route.abort()

    def draw(self, address):
        page = self.page
        page.goto(address)
        page.evaluate(POKE)
        self.faults += [f"{address}: ran {each}" for each in page.evaluate("window.ran")]
        self.faults += [f"{address}: reports {each}" for each in page.evaluate("window.reports")]
        self.faults += [f"{address}: {each}" for each in page.complaints]
        page.complaints.clear()
        odd = [each for each in page.evaluate(IN_BOXES) if each not in HARMLESS and not harmless(each)]
        self.faults += [f"{address}: holds {each[:80]}" for each in odd]
        self.built[address] = page.evaluate(BUILT)
        self.words[address] = " ".join(page.evaluate("document.body.textContent").split())
        self.drawn += 1


def harmless(attribute):
    return attribute == REL or attribute.startswith("@start=") or re.match(r"@href=(https?:|mailto:)", attribute)


@REACH
def test_attacks_do_nothing_on_any_page_that_shows_them(open_as, live_server, cast, texts):
    stage = Stage(cast, texts())
    behind, without, drawn = {}, {}, 0
    for role, addresses in stage.addresses().items():
        for seen, bypass in [(behind, False), (without, True)]:
            page = open_as(getattr(cast, role), bypass_csp=bypass)
            seen[role] = Seen(page, live_server.url)
            for address in addresses:
                seen[role].draw(address)
            drawn += seen[role].drawn
            page.close()
            assert seen[role].faults == []
        assert behind[role].built == without[role].built
    assert shown(behind["hal"], stage.subjects) == len(stage.subjects)
    assert shown(behind["hal"], stage.names) == len(stage.names)
    assert shown(behind["hal"], stage.hosts) == len(stage.hosts)
    print(
        f"{len(stage.texts)} texts, {len(stage.subjects)} subjects, {Message.objects.count()} messages, {drawn} pages"
    )


def shown(seen, texts):
    everywhere = " ".join(seen.words.values())
    return sum(" ".join(each.split()) in everywhere for each in texts)


@REACH
def test_attacks_change_nothing_outside_their_box(open_as, live_server, cast, texts):
    """The page of a ticket and the lists, with attacks and with plain words: built of the same parts."""
    stage = Stage(cast, texts())
    page = open_as(cast.hal)
    attacked, plain = Seen(page, live_server.url), Seen(page, live_server.url)
    addresses = [*(f"/tickets/{each.number}/" for each in stage.talks), "/tickets/?show=all", "/contacts/", "/home/"]
    for address in addresses:
        attacked.draw(address)
    stage.become_plain()
    for address in addresses:
        plain.draw(address)
    assert attacked.built == plain.built
    assert attacked.faults == plain.faults == []


@REACH
def test_no_mail_runs_anything(chromium, cast, transactional_db, texts):
    """Mails are shown by others, without our policy."""
    Stage(cast, texts())
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script(TRAP)
    asked = []
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    written = [row for row in Outbox.objects.filter(kind="mail").order_by("pk") if row.payload["html"]]
    rows = sample(written, 60 if texts is quick else 600)
    for row in rows:
        page.goto("about:blank")
        page.set_content(row.payload["html"], wait_until="domcontentloaded")
        page.evaluate(POKE.replace("main *", "body *"))
        assert page.evaluate("window.ran || []") == []
    context.close()
    assert asked == []
    assert len(rows) >= 60


# The controls: the same texts unclean. Without our policy they run, so the tests above can fail; behind it none does.


@pytest.mark.parametrize(
    "texts", [pytest.param(quick, id="some"), pytest.param(kept_here, id="all", marks=pytest.mark.long)]
)
def test_unclean_they_run_without_the_policy_and_not_behind_it(chromium, db, texts):
    policy = Browser().get("/accounts/login/")["Content-Security-Policy"]
    attacks = [each for each in texts() if re.search("alert|javascript:|onerror|onload|<script", each, re.IGNORECASE)]
    bare, behind = ran_among(chromium, attacks, {}), ran_among(chromium, attacks, {"Content-Security-Policy": policy})
    print(f"{len(attacks)} attacks: {bare} run without the policy, {behind} behind it")
    assert bare >= 0.1 * len(attacks)
    assert behind == 0


def ran_among(chromium, attacks, headers):
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script(TRAP)
    now = {"shown": ""}

    def answer(route):
        if not route.request.url.endswith("/raw/"):
            return route.abort()
        body = f"<!doctype html><meta charset=utf-8><body><main>{now['shown']}</main>"
        return route.fulfill(body=body, content_type="text/html", headers=headers)

    page.route("**/*", answer)
    ran = 0
    for attack in attacks:
        now["shown"] = attack
        page.goto("http://raw.example/raw/", wait_until="domcontentloaded")
        page.evaluate(POKE)
        page.wait_for_timeout(30)
        ran += bool(page.evaluate("(window.ran || []).length"))
    context.close()
    return ran


def answer_with(facts, route):
    route.fulfill(**facts)


def test_an_address_for_htmx_that_gets_past_the_cleaning_is_followed(chromium, live_server, transactional_db):
    """The control for `hx-get` in words: where it is not cleaned away, htmx asks, policy or not."""
    policy = Browser().get("/accounts/login/")["Content-Security-Policy"]
    asked = []
    for words in ['<div hx-get="/accounts/logout/" hx-trigger="load">x</div>', text.render(ATTACKS[29])]:
        context = chromium.new_context()
        page = context.new_page()
        body = f'<!doctype html><script src="/static/vendor/htmx/htmx.min.js"></script><body>{words}'
        facts = {"body": body, "content_type": "text/html", "headers": {"Content-Security-Policy": policy}}
        page.route("**/raw/", partial(answer_with, facts))
        got = []
        page.on("request", lambda request, got=got: got.append(request.url))
        page.goto(f"{live_server.url}/raw/", wait_until="networkidle")
        asked.append(any("/accounts/logout/" in each for each in got))
        context.close()
    assert asked == [True, False]
