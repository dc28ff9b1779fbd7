"""The parts pages are made of; `docs/look.md` shows each in use.

A part that holds a few words is a tag that returns HTML, one that holds a page's own HTML is a block tag, and only the
form field, which has many shapes, is a template.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from django import template
from django.conf import settings
from django.forms import BaseForm
from django.forms.boundfield import BoundField
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext

from aegir_support.money import format_money

register = template.Library()

TONES = {"neutral", "sea", "ochre", "red", "blue"}
NOTHING = SafeString("")


def _tone(name: str) -> str:
    if name not in TONES:
        raise ValueError(f"A tone is one of {', '.join(sorted(TONES))}; this says {name!r}.")
    return name


@register.simple_tag
def project_name() -> str:
    """The project's name from the settings, for pages drawn without a request, such as the 500."""
    return str(settings.PROJECT_NAME)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A Tabler icon of `static/icons.svg`. Silent beside words; with `label` it speaks for itself."""
    address = f"{static('icons.svg')}#{name}"
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, address)
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"></use></svg>', address)


@register.simple_tag
def badge(text: object, tone: str = "neutral", icon: str = "") -> SafeString:
    """A word or two about a state. The words carry the meaning, the tone only helps to find it."""
    return format_html('<span class="badge tone-{}">{}{}</span>', _tone(tone), _icon_or_nothing(icon), text)


@register.simple_tag
def button(text: str, kind: str = "plain", href: str = "", icon: str = "", **attributes: object) -> SafeString:
    """A button, or with `href` a link that looks like one. `kind`: primary (one a page), plain, quiet or danger.

    Further arguments become attributes: `name="outcome" data_confirm="Withdraw the ticket?" type="button"`.
    """
    look = {"primary": "btn-primary", "plain": "", "quiet": "btn-quiet", "danger": "btn-danger"}[kind]
    words = format_html("{}{}", _icon_or_nothing(icon), text)
    css = f"btn {look}".strip()
    if href:
        return format_html('<a class="{}" href="{}"{}>{}</a>', css, href, _attributes(attributes), words)
    return format_html('<button class="{}"{}>{}</button>', css, _attributes({"type": "submit"} | attributes), words)


def _icon_or_nothing(name: str) -> SafeString:
    return icon(name) if name else NOTHING


def _attributes(attributes: Mapping[str, object]) -> SafeString:
    """`data_confirm="Sure?"` as ` data-confirm="Sure?"`; true is the bare name, false, none and empty are left out."""
    written = [
        (name.replace("_", "-"), value)
        for name, value in attributes.items()
        if not (value is None or value is False or value == "")
    ]
    return format_html_join(
        "", "{}", ((format_html(" {}" if value is True else ' {}="{}"', name, value),) for name, value in written)
    )


@register.simple_tag
def money(cents: int, currency: str) -> SafeString:
    """An amount in whole minor units, with its currency: €1,234.50."""
    return format_html('<span class="money">{}</span>', format_money(cents, currency))


@register.simple_tag
def when(moment: datetime | date | None, only: str = "", missing: str = "") -> SafeString:
    """A moment as both how long and when: “in 3 h · today 16:10”, in the reader's time zone.

    `only="distance"` or `only="clock"` shows one half and keeps the other as a title. None shows `missing`.
    """
    if moment is None:
        return conditional_escape(missing)
    if isinstance(moment, datetime):
        local = timezone.localtime(moment)
        instant = moment.isoformat(timespec="seconds")
        distance, clock = _distance(moment - timezone.now()), _clock(local)
        full = formats.date_format(local, "l j F Y, H:i T")
    else:
        days = moment - timezone.localdate()
        instant = moment.isoformat()
        distance, clock = _distance_in_days(days.days), formats.date_format(moment, "j F Y")
        full = formats.date_format(moment, "l j F Y")
    moving = format_html(
        "<span{}>{}</span>", mark_safe(" data-distance") if isinstance(moment, datetime) else "", distance
    )
    shown = {"distance": moving, "clock": clock, "": format_html("{} · {}", moving, clock)}[only]
    return format_html('<time datetime="{}" title="{}">{}</time>', instant, full, shown)


def _distance(gap: timedelta) -> str:
    """The words `site.js` keeps fresh; both change their unit at the same lengths."""
    minutes = int(abs(gap).total_seconds() // 60)
    if minutes < 1:
        return gettext("now")
    if minutes < 60:
        return _before_or_after(gap, gettext("%d min") % minutes)
    if minutes < 24 * 60:
        return _before_or_after(gap, gettext("%d h") % (minutes // 60))
    return _before_or_after(gap, _long_while(minutes // (24 * 60)))


def _distance_in_days(days: int) -> str:
    near = {0: gettext("today"), 1: gettext("tomorrow"), -1: gettext("yesterday")}
    return near.get(days) or _before_or_after(timedelta(days), _long_while(abs(days)))


def _long_while(days: int) -> str:
    if days < 14:
        return ngettext("%d day", "%d days", days) % days
    if days < 61:
        weeks = days // 7
        return ngettext("%d week", "%d weeks", weeks) % weeks
    if days < 730:
        months = days // 30
        return ngettext("%d month", "%d months", months) % months
    return ngettext("%d year", "%d years", days // 365) % (days // 365)


def _before_or_after(gap: timedelta, length: str) -> str:
    return (gettext("in %s") if gap > timedelta(0) else gettext("%s ago")) % length


def _clock(local: datetime) -> str:
    days = (local.date() - timezone.localdate()).days
    time = formats.date_format(local, "H:i")
    if days in {-1, 0, 1}:
        day = {0: gettext("today"), 1: gettext("tomorrow"), -1: gettext("yesterday")}[days]
        return f"{day} {time}"
    if local.year == timezone.localdate().year or abs(days) < 90:
        return f"{formats.date_format(local, 'j M')}, {time}"
    return formats.date_format(local, "j M Y")


@register.simple_tag
def countdown(moment: datetime) -> SafeString:
    """A running clock to `moment`: 27:41, then 2 h 10 min above an hour. Right without JavaScript, live with it.

    At the end the element sends a `countdown:end` event, which htmx can wait for.
    """
    left = max(int((moment - timezone.now()).total_seconds()), 0)
    text = f"{left // 60:02d}:{left % 60:02d}"
    if left >= 3600:
        text = gettext("%(hours)s h %(minutes)s min") % {"hours": left // 3600, "minutes": left % 3600 // 60}
    return format_html(
        '<time class="clock" role="timer" data-countdown datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        formats.date_format(timezone.localtime(moment), "l j F Y, H:i T"),
        text if left else gettext("time is up"),
    )


@register.simple_tag
def stat(label: str, value: object, note: object = "", icon: str = "") -> SafeString:
    """One figure with what it means: put several in `<div class="stats">`."""
    below = format_html('<div class="muted small">{}</div>', note) if note else NOTHING
    return format_html(
        '<div class="card stat"><div class="stat-label">{}{}</div><div class="stat-value">{}</div>{}</div>',
        _icon_or_nothing(icon),
        label,
        value,
        below,
    )


@register.simple_tag
def bar(value: float, top: float, label: object = "", text: object = "", tone: str = "sea") -> SafeString:
    """`value` of `top` as a bar under its words. The words say it all, so the drawing is silent."""
    share = min(max(value / top, 0), 1) * 100 if top else 0
    return format_html(
        '<div class="bar-row"><div class="bar-words"><span>{}</span><span>{}</span></div>'
        '<svg class="bar" aria-hidden="true"><rect class="fill-{}" width="{}%" height="100%"></rect></svg></div>',
        label,
        text,
        _tone(tone),
        f"{share:.1f}",
    )


@register.simple_tag
def shares(*triples: object) -> SafeString:
    """How a whole is split: `{% shares "Workers" 70 "sea" "Fund" 20 "ochre" %}` draws one bar and its legend."""
    rows = [
        (str(label), float(str(part)), _tone(str(tone)))
        for label, part, tone in zip(triples[::3], triples[1::3], triples[2::3], strict=True)
    ]
    whole = sum(part for _, part, _ in rows) or 1
    drawn, legend, x = [], [], 0.0
    for label, part, tone in rows:
        width = part / whole * 100
        drawn.append((tone, f"{x:.2f}", f"{width:.2f}"))
        legend.append((tone, label, f"{width:.0f}"))
        x += width
    return format_html(
        '<svg class="bar shares" aria-hidden="true">{}</svg><ul class="legend">{}</ul>',
        format_html_join("", '<rect class="fill-{}" x="{}%" width="{}%" height="100%"></rect>', drawn),
        format_html_join(
            "", '<li><span class="swatch fill-{}"></span><span>{}</span> <strong>{} %</strong></li>', legend
        ),
    )


@register.inclusion_tag("components/money_flow.html")
def money_flow(workers: int, fund: int, overhead: int) -> dict[str, object]:
    """Where a payment goes, in whole per cent that add up to 100, as three streams; on a phone as one bar."""
    streams, left, right = [], 31, 6
    for percent, tone in ((workers, "sea"), (fund, "ochre"), (overhead, "neutral")):
        height = percent * 2
        end, landing = left + height, right + height
        line = right + height // 2 - (4 if height >= 40 else -6)
        streams.append(
            {
                "percent": percent,
                "tone": tone,
                "left": left,
                "right": right,
                "height": height,
                "line": line,
                "below": line + 21,
                "path": (
                    f"M150 {left} C300 {left} 300 {right} 450 {right} V{landing} C300 {landing} 300 {end} 150 {end} Z"
                ),
            }
        )
        left, right = end, landing + 24
    return {"streams": streams, "workers": streams[0], "fund": streams[1], "overhead": streams[2]}


@register.simple_tag
def empty_state(title: str, text: str = "", icon: str = "inbox", href: str = "", action: str = "") -> SafeString:
    """What will appear here, and the first step."""
    step = format_html('<a class="btn btn-primary" href="{}">{}</a>', href, action) if href else NOTHING
    return format_html(
        '<div class="empty-state">{}<p class="empty-title">{}</p><p class="muted">{}</p>{}</div>',
        _icon_or_nothing(icon),
        title,
        text,
        step,
    )


@register.simple_tag
def pager(newer: str = "", older: str = "") -> SafeString:
    """Links of a list that is read newest first. Nothing when it fits on one page."""
    if not (newer or older):
        return NOTHING
    return format_html(
        '<nav class="pager" aria-label="{}">{}{}</nav>',
        gettext("Pages"),
        format_html('<a class="btn" rel="prev" href="{}">{}{}</a>', newer, icon("arrow-left"), gettext("Newer"))
        if newer
        else SafeString("<span></span>"),
        format_html('<a class="btn" rel="next" href="{}">{}{}</a>', older, gettext("Older"), icon("arrow-right"))
        if older
        else NOTHING,
    )


@register.simple_block_tag
def alert(content: str, tone: str = "blue", title: str = "", dismiss: bool = False) -> SafeString:
    """A sentence that belongs to the page: what happened, what was kept, what to do."""
    signs = {"neutral": "info-circle", "blue": "info-circle", "sea": "circle-check", "ochre": "alert-triangle"}
    heading = format_html('<p class="alert-title">{}</p>', title) if title else NOTHING
    close = _dismiss() if dismiss else NOTHING
    return format_html(
        '<div class="alert tone-{}"{}>{}<div class="alert-body">{}{}</div>{}</div>',
        _tone(tone),
        mark_safe(' role="alert"') if tone == "red" else NOTHING,
        icon(signs.get(tone, "alert-circle")),
        heading,
        mark_safe(content),  # noqa: S308  the block's own HTML, escaped where the template wrote it
        close,
    )


def _dismiss() -> SafeString:
    return format_html(
        '<button type="button" class="dismiss" data-dismiss hidden aria-label="{}">{}</button>',
        gettext("Dismiss"),
        icon("x"),
    )


@register.simple_tag
def message_tone(level_tag: str) -> str:
    """The tone of a Django message: an error is red, a warning ochre, a success sea."""
    return {"error": "red", "warning": "ochre", "success": "sea"}.get(level_tag, "blue")


@register.simple_block_tag
def message(content: str, kind: str, author: object, at: datetime | None = None, who: str = "") -> SafeString:
    """What somebody wrote on a ticket. `kind`: client, member or note (only members see a note)."""
    if kind not in {"client", "member", "note"}:
        raise ValueError(f"A message is of a client or a member, or a note; this says {kind!r}.")
    about = format_html(' <span class="muted">{}</span>', who) if who else NOTHING
    private = (
        format_html(' <span class="badge tone-ochre">{}{}</span>', icon("lock"), gettext("only members see this"))
        if kind == "note"
        else NOTHING
    )
    return format_html(
        '<article class="msg {}"><header class="msg-head"><span><strong>{}</strong>{}{}</span>{}</header>'
        '<div class="prose">{}</div></article>',
        kind,
        author,
        about,
        private,
        when(at) if at else NOTHING,
        mark_safe(content),  # noqa: S308  the block's own HTML, escaped where the template wrote it
    )


@register.simple_block_tag
def scroll(content: str, label: str) -> SafeString:
    """A wide table that scrolls sideways on a phone; the keyboard reaches it, and `label` names it."""
    return format_html(
        '<div class="table-responsive" role="region" tabindex="0" aria-label="{}">{}</div>',
        label,
        mark_safe(content),  # noqa: S308  the block's own HTML, escaped where the template wrote it
    )


@register.simple_block_tag
def dialog(content: str, name: str, title: str) -> SafeString:
    """A dialog that `data-dialog="<name>"` on a button opens. For what a page also offers without JavaScript."""
    return format_html(
        '<dialog class="dialog" id="{0}" aria-labelledby="{0}-title"><form method="dialog">'
        '<button class="dismiss" aria-label="{1}">{2}</button></form>'
        '<h2 class="h3" id="{0}-title">{3}</h2>{4}</dialog>',
        name,
        gettext("Close"),
        icon("x"),
        title,
        mark_safe(content),  # noqa: S308  the block's own HTML, escaped where the template wrote it
    )


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: BaseForm) -> dict[str, object]:
    """What keeps a form from being taken, first on the page, each line a link to its field."""
    fields = [(bound, bound.errors) for bound in form if bound.errors]
    return {"general": form.non_field_errors(), "fields": fields, "count": len(fields)}


@register.inclusion_tag("components/field.html")
def field(
    bound: BoundField,
    *,
    label: str = "",
    hint: str = "",
    descriptions: Mapping[object, str] | None = None,
    before: str = "",
    after: str = "",
    hide_label: bool = False,
    hint_below: bool = False,
    **attributes: object,
) -> dict[str, object]:
    """A form field with its label, hint and errors, tied together for those who listen.

    `descriptions` maps the values of a choice to a sentence each; `before` and `after` stand in the box's edge, such as
    a currency; `hint_below` puts the hint under the box; further arguments become attributes of the widget:
    `rows=6 data_draft_key="reply-41"`.
    """
    hint = hint or str(bound.help_text)
    described_by = " ".join(
        f"{bound.auto_id}_{part}" for part, there in (("helptext", hint), ("error", bound.errors)) if there
    )
    given = {name.replace("_", "-"): _widget_value(value) for name, value in attributes.items()}
    shape = _shape(bound)
    css = {"check": "form-check-input", "select": "form-select"}.get(shape, "form-control")
    attrs = given | {"class": f"{css} is-invalid" if bound.errors else css}
    if described_by and shape != "options":
        attrs["aria-describedby"] = described_by
    if bound.errors:
        attrs["aria-invalid"] = "true"
    return {
        "field": bound,
        "label": label or bound.label,
        "hint": hint,
        "shape": shape,
        "described_by": described_by,
        "optional": not bound.field.required and shape != "check",
        "before": before,
        "after": after,
        "hide_label": hide_label,
        "hint_below": hint_below,
        "widget": "" if shape == "options" else bound.as_widget(attrs=attrs),
        "options": list(_options(bound, descriptions or {})) if shape == "options" else [],
    }


def _widget_value(value: object) -> str | bool:
    # False takes an attribute away that the form's author gave, such as a placeholder that repeats the label.
    return value if isinstance(value, bool) else str(value) or False


def _shape(bound: BoundField) -> str:
    if bound.is_hidden:
        return "hidden"
    kind = getattr(bound.field.widget, "input_type", "textarea")
    if kind in {"radio", "checkbox"}:
        return "options" if getattr(bound.field, "choices", None) is not None else "check"
    return "select" if kind == "select" else "box"


def _options(bound: BoundField, descriptions: Mapping[object, str]) -> Iterable[dict[str, object]]:
    for option in bound.subwidgets:
        value = option.data["value"]
        description = descriptions.get(value) or descriptions.get(str(value)) or ""
        option.data["attrs"]["class"] = "form-check-input"
        if description:
            option.data["attrs"]["aria-describedby"] = f"{option.id_for_label}_about"
        yield {
            "id": option.id_for_label,
            "widget": option.tag(),
            "label": option.choice_label,
            "description": description,
        }


@register.simple_tag
def page_words() -> SafeString:
    """What `site.js` needs to speak the page's language and go by the server's clock, as attributes of the root."""
    return _attributes(
        {
            "data-server-time": timezone.now().isoformat(timespec="milliseconds"),
            "data-in": gettext("in %s"),
            "data-ago": gettext("%s ago"),
            "data-now": gettext("now"),
            "data-min": gettext("%d min"),
            "data-hour": gettext("%d h"),
            "data-hours": gettext("%(hours)s h %(minutes)s min") % {"hours": "%h", "minutes": "%m"},
            "data-up": gettext("time is up"),
            "data-left": gettext("%s characters left"),
            "data-restored": gettext("We kept the words you had not sent yet."),
            "data-yes": gettext("Yes"),
            "data-no": gettext("Cancel"),
        }
    )
