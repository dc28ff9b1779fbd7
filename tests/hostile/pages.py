"""What a page offers to whoever reads it: addresses, forms with their fields, and parts that htmx asks for."""

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

TYPED = {"text", "search", "email", "password", "textarea", "date", "number", "url", "tel", "time", "datetime-local"}
HTMX = re.compile(r"(?:data-)?hx-(get|post|put|patch|delete)$")
# What is different each time a page is drawn, and says nothing.
PASSING = [
    re.compile(r'name="csrfmiddlewaretoken" value="\w+"'),
    re.compile(r'"X-CSRFToken": "\w+"'),
    re.compile(r'"X-CSRFToken&quot;: &quot;\w+'),
    re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    re.compile(r"\b[0-9a-f]{32}\b"),
]


@dataclass
class Field:
    """One field: its kind is `hidden`, `select`, `radio`, `checkbox`, `file`, `submit` or what one types into."""

    name: str
    kind: str
    value: str = ""
    options: list[str] = field(default_factory=list)

    @property
    def is_typed(self):
        return self.kind in TYPED


@dataclass
class Form:
    """A form as a browser would send it."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)

    def filled_in(self, **facts):
        """What is sent when the rest stays as it is."""
        sent = {each.name: each.value for each in self.fields if each.kind != "file"}
        return {**sent, **facts}

    @property
    def shape(self):
        """The same for each form of its kind, whichever row it is about."""
        return re.sub(r"\d+", "N", self.action), self.method, tuple(each.name for each in self.fields)


class Reader(HTMLParser):
    """Reads a page once; `links`, `forms` and `parts` are what it found."""

    def __init__(self, page, at="/"):
        super().__init__()
        self.at = at
        self.links, self.parts, self.forms = [], [], []
        self._form = self._select = self._textarea = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        facts = {name: value or "" for name, value in attributes}
        for name, value in facts.items():
            if asked := HTMX.match(name):
                self.parts.append((asked[1], self._address(value)))
        if tag == "a" and "href" in facts:
            self.links.append(self._address(facts["href"]))
        elif tag == "form":
            self._form = Form(self._address(facts.get("action", "")), facts.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None and tag in {"input", "select", "textarea", "button"}:
            self._add(tag, facts)
        elif tag == "option" and self._select is not None:
            self._select.options.append(facts.get("value", ""))
            if "selected" in facts or len(self._select.options) == 1:
                self._select.value = facts.get("value", "")

    def _add(self, tag, facts):
        name, kind = facts.get("name", ""), facts.get("type", "text") if tag == "input" else tag
        if not name:
            return
        there = next((each for each in self._form.fields if each.name == name), None)
        if kind in {"radio", "checkbox"} and there:
            there.options.append(facts.get("value", "on"))
        else:
            there = Field(name, kind, facts.get("value", ""), [facts.get("value", "on")])
            self._form.fields.append(there)
        if kind == "radio" and "checked" in facts:
            there.value = facts.get("value", "on")
        self._select = there if tag == "select" else None
        if tag == "select":
            there.options.clear()
        self._textarea = there if tag == "textarea" else None

    def handle_data(self, data):
        if self._textarea is not None:
            self._textarea.value += data

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = None
        if tag == "textarea":
            self._textarea = None

    def _address(self, written):
        """The address on this site; empty for another's."""
        there = urlsplit(urljoin(f"http://testserver{self.at}", written))
        if there.netloc != "testserver":
            return ""
        return there.path + (f"?{there.query}" if there.query else "")


def crawl(browser, start="/home/", *, most=80, besides=("/accounts/logout/",)):
    """Every page that can be reached by links and parts: {address: Reader, with its `text`}."""
    found, waiting = {}, [start]
    while waiting and len(found) < most:
        address = waiting.pop(0)
        if address in found or not address or address.startswith(besides):
            continue
        answer = browser.get(address)
        if answer.status_code != 200 or "html" not in answer.get("Content-Type", ""):
            continue
        text = answer.content.decode()
        page = Reader(text, address)
        page.text = text
        found[address] = page
        waiting += [*page.links, *(part for method, part in page.parts if method == "get")]
    return found


def at_rest(text):
    """The page without what changes from one drawing to the next."""
    for passing in PASSING:
        text = passing.sub("", text)
    return text


def words(page):
    """The words of a page, as they are read."""
    return html.unescape(page)
