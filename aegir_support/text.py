"""What people type: tidied when it comes in, and turned from Markdown into HTML that cannot act.

Two walls, each enough alone: Markdown is read with raw HTML off, and what comes out is cleaned against a short list of
tags, attributes and schemes.
"""

import re
import unicodedata

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

MAX_CHARS = 20_000

# C0 and C1 controls but tab and line feed; lone surrogates, which no encoding takes; the byte order mark; and the two
# bidirectional overrides, which exist to show text in another order than it has. Marks and isolates stay: Arabic and
# Hebrew need them. So do joiners: Persian, Hindi and many emoji need them.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\u202d\u202e]")
_NEW_LINE = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
_ADDRESS = re.compile(r"""https?://[^\s<>"'`|\\^{}\[\]]*[^\s<>"'`|\\^{}\[\].,;:!?()]""", re.IGNORECASE)


class TooLong(ValueError):
    """More than MAX_CHARS characters. A form says so before it comes to this."""


def clean(value: str) -> str:
    """The text without characters that no keyboard types, with plain line feeds, and composed (NFC)."""
    lines = _NEW_LINE.sub("\n", value.replace("\0", ""))
    return unicodedata.normalize("NFC", _UNWANTED.sub("", lines))


def one_line(value: object) -> str:
    """Cleaned and without line breaks, for subjects, names and headers."""
    return " ".join(clean(str(value)).split())


def render(markdown: str) -> SafeString:
    """Markdown as HTML that is safe to show to anyone. Line breaks count, as in a chat. Raises TooLong.

    Pictures become links, so that no page fetches what a stranger names. Costs up to a second for the worst text
    of the longest size: render once, and keep the result.
    """
    if len(markdown) > MAX_CHARS:
        raise TooLong
    return mark_safe(sanitise(_markdown.render(clean(markdown))))  # noqa: S308 - cleaned in this very line


def sanitise(html: str) -> str:
    """HTML with only harmless tags, attributes and link schemes left. Doing it twice changes nothing."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_only_listed,
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="nofollow noopener noreferrer ugc",
    )


def excerpt(markdown: str, chars: int) -> str:
    """The first `chars` characters in plain words, on one line, cut between words."""
    tokens = _markdown.parse(clean(markdown[: 4 * chars + 200]))
    words = " ".join(" ".join(_plain(token) for token in tokens).split())
    if len(words) <= chars:
        return words
    return words[: chars - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


def _plain(token: Token) -> str:
    if token.type in {"fence", "code_block"}:
        return token.content
    return "".join(
        child.content if child.type in {"text", "code_inline", "image"} else " " if "break" in child.type else ""
        for child in token.children or []
    )


def _only_listed(tag: str, attribute: str, value: str) -> str | None:
    # nh3 lets "title" and "lang" through on every tag.
    return value if attribute in _ATTRIBUTES.get(tag, set()) or (tag, attribute) == ("a", "rel") else None


def _picture_as_link(
    renderer: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    picture = tokens[index]
    words = nh3.clean_text(picture.content or str(picture.attrs.get("src", "")))
    depth = sum(token.nesting for token in tokens[:index] if token.type in {"link_open", "link_close"})
    if depth:  # a picture in a link: the link is there already
        return words
    return f'<a href="{nh3.clean_text(str(picture.attrs.get("src", "")))}">{words}</a>'


def _link_addresses(state: StateCore) -> None:
    """Make a link of each bare web address, outside of links and code."""
    for block in state.tokens:
        if block.type == "inline" and "://" in block.content:
            block.children = _with_links(block.children or [])


def _with_links(children: list[Token]) -> list[Token]:
    result: list[Token] = []
    depth = 0
    for child in children:
        depth += child.nesting if child.type in {"link_open", "link_close"} else 0
        result += [child] if depth or child.type != "text" else _linked(child.content)
    return result


def _linked(words: str) -> list[Token]:
    result: list[Token] = []
    end = 0
    for found in _ADDRESS.finditer(words):
        address = found.group()
        result += [
            _text(words[end : found.start()]),
            Token("link_open", "a", 1, attrs={"href": _markdown.normalizeLink(address)}),
            _text(address),
            Token("link_close", "a", -1),
        ]
        end = found.end()
    return [*result, _text(words[end:])]


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
_markdown.core.ruler.push("link_addresses", _link_addresses)
_markdown.add_render_rule("image", _picture_as_link)
