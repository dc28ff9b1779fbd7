"""Eight processes answer, claim, give back, file and sweep at random; started by test_storm.py.

Each writes down what it did and what it was told, one line an act, for the test to hold against the data.
"""

import json
import logging
import os
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings
from django.template.loader import get_template
from django.urls import get_resolver
from django.utils.translation import gettext

from aegir_support import outbox
from tests.races import together
from tests.races.crowd import Crowd
from tickets.models import OfferQuerySet, Ticket

START = "import django; django.setup(); from tests.races import storm; storm.break_loose()"


def break_loose():
    """What the storm is to be stands in the first argument, as JSON."""
    sys.exit(main(json.loads(sys.argv[1])))


def main(storm):
    _warm_up()  # before the fork, once for all; nobody has asked the database yet
    gate_in, gate_out = os.pipe()
    children = []
    for number in range(storm["processes"]):
        pid = os.fork()
        if pid == 0:
            os.close(gate_out)
            os.read(gate_in, 1)  # returns when the parent opens the gate for all at once
            status = 1
            try:
                _weather(storm, number)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    os.close(gate_out)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


def _warm_up():
    """What a server has read long before its thousandth page: views, words, the templates of pages and mails."""
    get_resolver().url_patterns  # noqa: B018 (reading it loads them)
    for folder in ["emails", "tickets"]:
        for found in (settings.BASE_DIR / "templates" / folder).iterdir():
            get_template(f"{folder}/{found.name}")
    gettext("Sent.")
    outbox.nudge()


def _weather(storm, number):
    with Path(f"{storm['history']}.{number}").open("w") as history, ExitStack() as without:
        logging.getLogger().addHandler(_Complaints(history))
        if not storm["guarded"]:
            without.enter_context(together.without_row_lock(Ticket))
            without.enter_context(together.without_conditional_update(OfferQuerySet))
        crowd = Crowd(storm["way"], random.Random(f"{storm['seed']} {number}"))
        for _ in range(storm["acts"]):
            started = time.perf_counter()
            told = crowd.do_something()
            if told:
                told["ms"] = round((time.perf_counter() - started) * 1000, 1)
                history.write(json.dumps(told) + "\n")


class _Complaints(logging.Handler):
    """Whatever is logged as an error, a failed step of the sweep as well, belongs to the history."""

    def __init__(self, history):
        super().__init__(logging.ERROR)
        self.history = history

    def emit(self, record):
        why = record.exc_info[1] if record.exc_info else ""
        self.history.write(json.dumps({"act": "log", "told": f"{record.getMessage()} {why!r}"}) + "\n")
