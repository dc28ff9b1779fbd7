"""Requests that are broken on purpose: each is refused with a page of ours, and none makes the site fail."""

from itertools import product

import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tests.hostile.payloads import sample
from tests.test_access import ROLES, addresses, browsers, example

# Paths by which each part of the site is asked, with and without an argument.
READ = [
    "/",
    "/pricing/",
    "/tickets/",
    "/tickets/new/",
    "/accounts/login/",
    "/admin/",
    "/-/health",
    "/static/css/site.css",
]
WRITTEN = ["/tickets/new/", "/tickets/preview/", "/accounts/login/", "/contacts/", "/availability/away/", "/offers/x/"]
NUL = "%00"
BAD_BYTES = ["%ff", "%c3%28", "%f0%28%8c%bc", "%ed%a0%80", "%80", "%00", "%0d%0a", "%2e%2e%2f", "%u0041", "%", "%zz"]
BAD_QUERIES = [
    *(f"show={each}&before={each}&q={each}&next={each}&currency={each}&to={each}&page={each}" for each in BAD_BYTES),
    *("&".join(f"a{n}=1" for n in range(1_500)), "=&=&=", "&&&", "before=" + "9" * 5_000, "[]=x&x[y]=z"),
    "before=2026-01-01T00:00:00%2B00:00~" + "9" * 40,
    "before=0001-01-01T00:00:00%2B14:00~1",
    "before=9999-12-31T23:59:59-12:00~1",
    "before=2026-01-01T00:00:00%2B00:00~-1",
]
BAD_ARGUMENTS = [*BAD_BYTES, "0", "-1", "9" * 19, "9" * 400, "1/../2", "x" * 5_000, "①", "1%00"]

BYTES = "application/octet-stream"
OURS = "Ægir Support"


@pytest.fixture
def everybody(cast):
    return dict(zip(ROLES, browsers(cast), strict=True))


def say_what_failed(answers):
    """The answers that are a failure of ours, or that are bare where a page of ours belongs."""
    return [f"{what}: {answer.status_code}" for what, answer in answers if answer.status_code >= 500 or is_bare(answer)]


def is_bare(answer):
    """A refusal without our page. The log-in page answers a program that sends JSON in its own way."""
    asked_by_program = answer.request.get("CONTENT_TYPE") == "application/json"
    return answer.status_code == 400 and not asked_by_program and OURS not in answer.content.decode()


@pytest.mark.parametrize("role", ["hal", "finn"])
def test_no_query_makes_a_page_fail(everybody, scene, role):
    answers = []
    for path in [*READ, "/demo/mail/", "/queue/offers/", "/admin/tickets/", "/admin/billing/client/"]:
        answers += [(f"{path}?{query[:60]}", get(everybody[role], f"{path}?{query}")) for query in BAD_QUERIES]
    assert say_what_failed(answers) == []


def get(browser, path, **options):
    answer = browser.get(path, **options)
    if answer.streaming:
        list(answer.streaming_content)  # read to its end, it leaves the connection to the database alone
    return answer


# How many addresses and how many arguments each: a sample, or all.
REACH = pytest.mark.parametrize(("pages", "each"), [(12, 4), pytest.param(1_000, 100, marks=pytest.mark.long)])


@REACH
@pytest.mark.parametrize("role", ["hal", "finn"])
def test_no_path_makes_a_page_fail(everybody, scene, role, pages, each):
    there = [address for address in addresses() if "<" in address]
    theirs = sample([address for address in there if address.startswith("admin/") == (role == "finn")], pages)
    answers = []
    for address in theirs:
        for argument in sample(BAD_ARGUMENTS, each, address):
            path = example(address, dict.fromkeys([*scene, "pk"], argument))
            answers.append((path[:80], get(everybody[role], path)))
    assert say_what_failed(answers) == []


def raw_form(**facts):
    return "&".join(f"{name}={value}" for name, value in facts.items())


def part(disposition, content):
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n"


BODIES = {
    "a field that is not UTF-8": (
        "application/x-www-form-urlencoded",
        raw_form(subject="%ff%fe", body="%c3%28", key="%80"),
    ),
    "NUL in each field": (
        "application/x-www-form-urlencoded",
        raw_form(
            **dict.fromkeys(["subject", "description", "body", "name", "email", "login", "key", "until"], f"a{NUL}b")
        ),
    ),
    "ten thousand fields": ("application/x-www-form-urlencoded", "&".join(f"f{n}=1" for n in range(10_000))),
    "one field ten thousand times": ("application/x-www-form-urlencoded", "&".join(["severity=1"] * 10_000)),
    "bytes that are no text": ("application/x-www-form-urlencoded", b"\xff\xfe\x00\x01" * 50),
    "a character set nobody has": ("application/x-www-form-urlencoded; charset=klingon", "subject=a"),
    "UTF-16": ("application/x-www-form-urlencoded; charset=utf-16", "subject=a".encode("utf-16")),
    "deep JSON": ("application/json", "[" * 100_000 + "]" * 100_000),
    "JSON that is none": ("application/json", "{"),
    "XML": ("text/xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'),
    "no type": ("", "subject=a"),
    "a type that is none": ("\x00/\x01; =;;", "subject=a"),
    "multipart without a boundary": ("multipart/form-data", encode_multipart(BOUNDARY, {"subject": "a"})),
    "multipart with an empty boundary": (
        "multipart/form-data; boundary=",
        encode_multipart(BOUNDARY, {"subject": "a"}),
    ),
    "multipart with a boundary that is no ASCII": ("multipart/form-data; boundary=é", b"--\xe9\r\n"),
    "multipart cut off": (MULTIPART_CONTENT, encode_multipart(BOUNDARY, {"subject": "a" * 500})[:-200]),
    "multipart with nothing in it": (MULTIPART_CONTENT, b""),
    "multipart with another boundary": (MULTIPART_CONTENT, encode_multipart("other", {"subject": "a"})),
    "multipart in base64 that is none": (
        MULTIPART_CONTENT,
        part('name="subject"\r\nContent-Transfer-Encoding: base64', "!!!!!"),
    ),
    "multipart with a file where a word belongs": (
        MULTIPART_CONTENT,
        part('name="subject"; filename="../../x\x00.html"', "<script>"),
    ),
    "multipart with two thousand parts": (
        MULTIPART_CONTENT,
        "".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f{n}"; filename="x"\r\n\r\nx\r\n'
            for n in range(2_000)
        )
        + f"--{BOUNDARY}--\r\n",
    ),
    "multipart with a header of 100 kB": (
        MULTIPART_CONTENT,
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{"x" * 100_000}"\r\n\r\nx\r\n--{BOUNDARY}--\r\n',
    ),
}


@pytest.mark.parametrize("role", ["gita", "finn"])
def test_no_body_makes_a_form_fail(everybody, scene, role):
    ticket = f"/tickets/{scene['number']}/"
    paths = [*WRITTEN, f"{ticket}reply/", f"{ticket}note/", "/admin/billing/client/add/"]
    answers = [
        (
            f"{path}, {what}",
            everybody[role].generic("POST", path, body, content_type=kind or "application/octet-stream"),
        )
        for path in paths
        for what, (kind, body) in BODIES.items()
    ]
    assert say_what_failed(answers) == []


@pytest.mark.parametrize(
    "what", ["ten thousand fields", "one field ten thousand times", "multipart with two thousand parts"]
)
def test_too_many_fields_are_refused_with_a_page_of_ours(everybody, what):
    kind, body = BODIES[what]
    answer = everybody["hal"].generic("POST", "/tickets/new/", body, content_type=kind)
    assert answer.status_code == 400
    assert "could not read that request" in answer.content.decode()


BAD_COOKIES = {
    "NUL written out": '"' + "\\000" * 32 + '"',
    "NUL": "\x00" * 32,
    "not UTF-8": "\xff\xfe" * 16,
    "8 kB": "x" * 8_000,
    "quotes": '"' * 40,
    "signs": "=;=;",
    "accents": "é" * 32,
    "percent": "%00" * 10,
}


@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "messages", "django_language", "anything"])
def test_no_cookie_makes_a_page_fail(db, name):
    failed = []
    for what, value in BAD_COOKIES.items():
        for path in ["/", "/home/", "/accounts/login/", "/admin/"]:
            browser = Client(raise_request_exception=False)
            for method in [browser.get, browser.post]:
                answer = method(path, HTTP_COOKIE=f"{name}={value}")
                failed += [f"{what}, {path}: {answer.status_code}"] if answer.status_code >= 500 else []
    assert failed == []


HEADED = ["/", "/home/", "/queue/offers/", "/static/css/site.css", "/accounts/login/"]
HEADERS = {
    "X-Request-ID": ["\x00", "x" * 100_000, "a\r\nb", "é"],
    "Host": ["evil.example", "localhost:99999", "localhost\x00", "[::1", "a" * 5_000, "localhost, evil.example", "é"],
    "HX-Request": ["true", "\x00", "x" * 9_000],
    "HX-Current-URL": ["\x00", "http://[::1", "//evil.example", "http://testserver/\xff", "http://a]b/"],
    "HX-Current-URL-URI-AutoEncoded": ["true"],
    "Referer": ["\x00", "http://[::1", "x" * 9_000],
    "Accept-Language": ["\x00", "x" * 9_000, "en-" * 3_000, "é;q=x"],
    "X-Forwarded-For": ["\x00", "1.2.3", "x" * 9_000, "::1, %00"],
    "X-Forwarded-Proto": ["ftp", "\x00"],
    "Content-Length": ["-1", "x", ""],
    "If-Modified-Since": ["\x00", "Thu, 99 Xxx 9999 99:99:99 GMT", "x" * 5_000],
    "If-None-Match": ["\x00", '"' * 500],
    "Range": ["bytes=-1", "bytes=9-1", "bytes=0-,0-,0-", "bytes=" + "0-1," * 2_000, "x"],
    "Accept-Encoding": ["\x00", "x" * 9_000],
    "Origin": ["null", "http://[::1", "\x00"],
    "Authorization": ["Basic \x00", "Bearer " + "x" * 9_000],
}


def test_no_header_makes_a_page_fail(everybody):
    failed = []
    for name, values in HEADERS.items():
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_LENGTH" else f"HTTP_{key}"
        for value, path, role in product(values, HEADED, ["visitor", "hal"]):
            answer = get(everybody[role], path, **{key: value})
            failed += [f"{path}, {name}: {value[:20]!r}: {answer.status_code}"] if answer.status_code >= 500 else []
    assert failed == []
