"""The parts pages are made of say what docs/look.md promises."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django import forms
from django.template import Context, Template
from django.utils import timezone
from django.utils.html import strip_tags

from aegir_support.templatetags import look

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def draw(template, **words):
    return Template("{% load look %}" + template).render(Context(words))


class Question(forms.Form):
    subject = forms.CharField(help_text="One line.")
    severity = forms.ChoiceField(choices=[("s1", "Down"), ("s2", "Slow")], widget=forms.RadioSelect, required=False)
    copy = forms.BooleanField(required=False)


@pytest.fixture(autouse=True)
def _it_is_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (timedelta(hours=3, minutes=59), "in 3 h · today 15:59"),
        (timedelta(minutes=-40), "40 min ago · today 11:20"),
        (timedelta(seconds=20), "now · today 12:00"),
        (timedelta(hours=20), "in 20 h · tomorrow 08:00"),
        (timedelta(hours=-13), "13 h ago · yesterday 23:00"),
        (timedelta(days=5), "in 5 days · 29 Nov, 12:00"),
        (timedelta(days=-400), "13 months ago · 20 Oct 2025"),
    ],
)
def test_a_moment_says_how_long_and_when(gap, said):
    assert plain(look.when(NOON + gap)) == said


def test_a_moment_is_told_in_the_readers_time_zone():
    with timezone.override("America/Toronto"):
        assert plain(look.when(NOON + timedelta(hours=3))) == "in 3 h · today 10:00"


def test_a_day_has_no_hour():
    assert plain(look.when(date(2026, 11, 27))) == "in 3 days · 27 November 2026"
    assert plain(look.when(date(2026, 11, 24), only="distance")) == "today"


def test_what_never_was_says_so():
    assert look.when(None, missing="never") == "never"


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (timedelta(minutes=27, seconds=41), "27:41"),
        (timedelta(hours=2, minutes=10), "2 h 10 min"),
        (timedelta(0), "time is up"),
    ],
)
def test_a_clock_is_right_before_any_script_runs(gap, said):
    assert plain(look.countdown(NOON + gap)) == said


def test_a_tone_that_is_none_is_refused_at_once():
    with pytest.raises(ValueError, match="A tone is one of"):
        look.badge("late", tone="pink")


def test_words_are_escaped_wherever_they_come_from():
    evil = '<script>"'
    for html in (
        look.badge(evil),
        look.button(evil, value=evil, data_confirm=evil),
        look.stat(evil, evil, note=evil),
        look.bar(1, 2, label=evil, text=evil),
        look.shares(evil, 1, "sea"),
        look.empty_state(evil, evil, href=evil, action=evil),
        draw('{% message kind="client" author=evil who=evil %}{{ evil }}{% endmessage %}', evil=evil),
        draw("{% alert title=evil %}{{ evil }}{% endalert %}", evil=evil),
        draw("{% dialog name=evil title=evil %}{{ evil }}{% enddialog %}", evil=evil),
        draw("{% scroll label=evil %}{{ evil }}{% endscroll %}", evil=evil),
    ):
        assert "<script" not in html
        assert '"">' not in html


def test_an_attribute_is_written_left_out_or_bare():
    html = look.button("Go", name="answer", value=0, hidden=True, disabled=False, title="")
    assert html == '<button class="btn" type="submit" name="answer" value="0" hidden>Go</button>'
    assert look.button("Go", type="button").count("type=") == 1


def test_a_bar_never_runs_over():
    assert 'width="100.0%"' in look.bar(7, 5)
    assert 'width="0.0%"' in look.bar(3, 0)


def test_a_field_ties_its_hint_and_its_errors_to_its_box():
    html = draw("{% field form.subject %}", form=Question({}))
    assert 'aria-describedby="id_subject_helptext id_subject_error"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_subject_helptext"' in html
    assert 'id="id_subject_error"' in html
    assert html.count("aria-describedby") == 1


def test_each_choice_may_say_what_it_means():
    html = draw("{% field form.severity descriptions=words %}", form=Question(), words={"s1": "No site answers."})
    assert 'aria-describedby="id_severity_0_about"' in html
    assert "No site answers." in html
    assert "<legend" in html
    assert "optional" in html


def test_a_box_to_tick_has_its_words_beside_it():
    html = draw("{% field form.copy label=words %}", form=Question(), words="Send me a copy")
    assert '<label for="id_copy">Send me a copy</label>' in html


def test_what_is_wrong_with_a_form_stands_first_and_leads_to_the_field():
    assert draw("{% form_errors form %}", form=Question({"subject": "x"})).strip() == ""
    html = draw("{% form_errors form %}", form=Question({}))
    assert 'href="#id_subject"' in html
    assert "one field" in html


def test_a_list_on_one_page_has_no_pager():
    assert look.pager() == ""
    assert 'rel="next"' in look.pager(older="?before=41")


def test_a_note_says_who_may_read_it():
    assert "only members see this" in draw('{% message kind="note" author="Ana" %}x{% endmessage %}')
    with pytest.raises(ValueError, match="of a client or a member"):
        draw('{% message kind="letter" author="Ana" %}x{% endmessage %}')


def test_the_money_picture_uses_all_of_the_payment():
    streams = look.money_flow(70, 20, 10)["streams"]
    assert [stream["height"] for stream in streams] == [140, 40, 20]
    assert streams[2]["left"] + streams[2]["height"] == 31 + 200


def plain(html):
    """The words a reader sees."""
    return strip_tags(html)
