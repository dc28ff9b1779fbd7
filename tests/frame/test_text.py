import random
import time
import unicodedata
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from aegir_support import text
from tests.attacks import ATTACKS

TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
REL = "nofollow noopener noreferrer ugc"


class Page(HTMLParser):
    """Reads HTML and keeps what a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.other: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def assert_harmless(html: str) -> None:
    page = Page(html)
    assert page.other == []
    for tag, attributes in page.elements:
        assert tag in TAGS
        if tag == "a" and "href" in attributes:
            assert attributes.pop("rel", None) == REL
            assert urlsplit(attributes.pop("href")).scheme in {"http", "https", "mailto"}
        elif tag == "a":
            attributes.pop("rel", None)
        elif tag == "ol":
            attributes.pop("start", None)
        assert attributes == {}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_becomes_words(attack):
    html = text.render(attack)
    assert_harmless(html)
    assert text.sanitise(html) == html


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_cleaner_alone_stops_an_attack(attack):
    once = text.sanitise(attack)
    assert_harmless(once)
    assert text.sanitise(once) == once


def test_the_judge_of_these_tests_finds_what_is_harmful():
    found = 0
    for attack in ATTACKS:
        try:
            assert_harmless(attack)
        except AssertionError:
            found += 1
    assert found > 30


def test_attacks_hidden_in_each_other_stay_words():
    dice = random.Random(7)
    for _ in range(300):
        assert_harmless(text.render("".join(dice.choices(ATTACKS, k=3)) + dice.choice(["", "\n\n", "`", "](", "*"])))


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        (
            "**bold** _slanted_ ~~gone~~ `code`",
            "<p><strong>bold</strong> <em>slanted</em> <s>gone</s> <code>code</code></p>\n",
        ),
        ("# Steps\n\n1. one\n2. two", "<h1>Steps</h1>\n<ol>\n<li>one</li>\n<li>two</li>\n</ol>\n"),
        ("4. four", '<ol start="4">\n<li>four</li>\n</ol>\n'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>\n"),
        ("```sh\ndrush status <x>\n```", "<pre><code>drush status &lt;x&gt;\n</code></pre>\n"),
        ("5 < 6 & 7", "<p>5 &lt; 6 &amp; 7</p>\n"),
        (
            "[docs](https://docs.example/a?b=1&c=2)",
            f'<p><a href="https://docs.example/a?b=1&amp;c=2" rel="{REL}">docs</a></p>\n',
        ),
        ("<ana@member.example>", f'<p><a href="mailto:ana@member.example" rel="{REL}">ana@member.example</a></p>\n'),
    ],
)
def test_markdown_reads_as_in_a_chat(markdown, html):
    assert text.render(markdown) == html


def test_a_table_is_a_table():
    assert [tag for tag, _ in Page(text.render("|a|b|\n|-|:-:|\n|1|2|")).elements].count("td") == 2


@pytest.mark.parametrize(
    ("typed", "address", "words"),
    [
        (
            "see https://a.example/b_c_d/?x=1&y=2.",
            "https://a.example/b_c_d/?x=1&y=2",
            "see https://a.example/b_c_d/?x=1&y=2.",
        ),
        ("(http://a.example)", "http://a.example", "(http://a.example)"),
        ("HTTPS://A.example/ü", "HTTPS://A.example/%C3%BC", "HTTPS://A.example/ü"),
    ],
)
def test_a_bare_address_becomes_a_link(typed, address, words):
    page = Page(text.render(typed))
    assert [attributes["href"] for tag, attributes in page.elements if tag == "a"] == [address]
    assert page.words.strip() == words


@pytest.mark.parametrize(
    "typed", ["`https://a.example`", "```\nhttps://a.example\n```", "javascript://a.example", "www.a.example"]
)
def test_an_address_in_code_or_of_another_kind_stays_words(typed):
    assert "<a" not in text.render(typed)


def test_an_address_within_a_link_is_not_linked_twice():
    assert text.render("[https://a.example](https://b.example)").count("<a ") == 1


def test_a_picture_becomes_a_link_so_that_nothing_is_fetched():
    assert text.render("![Screenshot](https://a.example/1.png)") == (
        f'<p><a href="https://a.example/1.png" rel="{REL}">Screenshot</a></p>\n'
    )
    assert text.render("![](https://a.example/1.png)").count("https://a.example/1.png") == 2


def test_a_picture_within_a_link_is_its_words():
    assert text.render("[![Build](https://a.example/b.svg)](https://ci.example)") == (
        f'<p><a href="https://ci.example" rel="{REL}">Build</a></p>\n'
    )


def test_the_longest_text_is_taken_and_one_more_character_is_not():
    assert text.render("x" * text.MAX_CHARS)
    with pytest.raises(text.TooLong):
        text.render("x" * (text.MAX_CHARS + 1))


@pytest.mark.parametrize(
    "shape",
    [
        "![",
        "[",
        "[](",
        "> ",
        "* a\n",
        "- " * 9 + "\n",
        "`",
        "*a_ ",
        "<",
        "&",
        "|a",
        "[a](b",
        "~~",
        "\\",
        "https://",
        "_a",
        "<a",
        "![[]()",
    ],
)
def test_a_slow_shape_stays_bounded(shape):
    started = time.process_time()
    html = text.render((shape * text.MAX_CHARS)[: text.MAX_CHARS])
    assert time.process_time() - started < 3
    assert len(html) < 40 * text.MAX_CHARS
    assert_harmless(html)


def test_deep_nesting_does_not_exhaust_the_stack():
    for shape in (">" * 9_000 + "x", "".join("  " * depth + "- x\n" for depth in range(90)), "[" * 9_000 + "]" * 9_000):
        assert_harmless(text.render(shape))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\0b\x07c\x1bd\x7fe\x9bf", "abcdef"),
        ("one\r\ntwo\rthree\u2028four\u0085five", "one\ntwo\nthree\nfour\nfive"),
        ("one\r\0\ntwo", "one\ntwo"),
        ("tab\tstays", "tab\tstays"),
        ("e\u0301", "é"),
        ("\ufeffstart \ud800 end", "start  end"),
        ("bill\u202egnp.exe", "billgnp.exe"),
        ("\u2067שלום\u2069 \u200fعربي", "\u2067שלום\u2069 \u200fعربي"),
        ("👩\u200d🔧 می\u200cخواهم", "👩\u200d🔧 می\u200cخواهم"),
    ],
)
def test_clean_takes_away_what_no_keyboard_types(typed, kept):
    assert text.clean(typed) == kept


def test_cleaning_twice_changes_nothing():
    dice = random.Random(3)
    characters = [chr(dice.randrange(0x3100)) for _ in range(400)] + list("\0\r\n\u2028\ud800e\u0301\u0327\u212b")
    for _ in range(500):
        once = text.clean("".join(dice.choices(characters, k=40)))
        assert text.clean(once) == once
        assert once == unicodedata.normalize("NFC", once)
        once.encode()


def test_one_line_holds_no_line_break():
    assert text.one_line(" Fix\r\nBcc: x@evil.example\u2028\0now ") == "Fix Bcc: x@evil.example now"


@pytest.mark.parametrize(
    ("markdown", "chars", "words"),
    [
        ("# Verify *fails*\n\nsince **Monday**", 80, "Verify fails since Monday"),
        ("one two three four", 12, "one two…"),
        ("[docs](https://a.example) ![shot](https://a.example/1.png) `drush`", 80, "docs shot drush"),
        ("line\nbreak", 80, "line break"),
        ("```\ncode here\n```", 80, "code here"),
        ("- one\n- two", 80, "one two"),
        ("Donaudampfschifffahrt", 10, "Donaudamp…"),
        ("5 < 6 & 7", 80, "5 < 6 & 7"),
        ("", 80, ""),
    ],
)
def test_an_excerpt_is_plain_words(markdown, chars, words):
    assert text.excerpt(markdown, chars) == words


def test_an_excerpt_is_never_longer_than_asked():
    for attack in ATTACKS:
        assert len(text.excerpt(attack * 20, 60)) <= 60
