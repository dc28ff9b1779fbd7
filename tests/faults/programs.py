"""The programs of production, each in its own process, on the test's database and a broker that may die."""

import http.client
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from django.test import Client as Browser

from aegir_support.processes import Child
from tests.races.elsewhere import environment, here

CONCURRENCY = 2


class Programs:
    """Starts workers, a beat and a web server as docs/operations.md says, and ends those that still run at the end."""

    def __init__(self, folder, broker, sink, **facts):
        """`facts` are variables of the programs, such as DATABASE_URL for another database than the test's."""
        self.folder = folder
        self.variables = environment(
            DEPLOYMENT="test",
            DATABASE_POOL_SIZE="4",  # as many as the web server has threads: nobody waits for a connection
            REDIS_URL=broker.url,
            LOCAL_DIR=str(folder),
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(sink.port),
            **facts,
        )
        self.started = []

    def worker(self, jobs="aegir_support"):
        return self._start("worker", ["celery", "-A", jobs, "worker", "--concurrency", str(CONCURRENCY)])

    def beat(self, jobs="aegir_support"):
        return self._start("beat", ["celery", "-A", jobs, "beat"])

    def web(self, workers=1, port=None, site="aegir_support.wsgi:application"):
        """A web server that answers; its `port` is where."""
        port = port or _free_port()
        serving = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers), "--blocking-threads", "4"]
        granian = ["granian", "--interface", "wsgi", site, "--no-ws", *serving]
        web = self._start("web", [*granian, "--respawn-failed-workers", "--workers-kill-timeout", "10"])
        web.port = port
        web.wait_until(lambda: answers(port), within=60)
        return web

    def run(self, *words):
        """Let one program run to its end; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *words], env=self.variables, cwd=here(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _start(self, name, words):
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        command = ["/usr/bin/env", "-i", *variables, sys.executable, "-m", *words]
        child = Child(name, command, log=self.folder / f"{name}.log", working_dir=here(), patience=3)
        child.start()
        self.started.append(child)
        return child

    def stop(self):
        for child in self.started:
            child.kill()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children_of(program):
    """The processes a program has started itself, by number."""
    if program.pid is None:
        return []
    return [int(pid) for pid in Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()]


def kill_children(program, most=None):
    """SIGKILL for the processes that do the work; the one that hands it out lives on. How many there were."""
    found = children_of(program)[:most]
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def seed():
    """CHAOS_SEED where it is set, to let the same dice fall again; shown with the figures."""
    return int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))


class Answer(NamedTuple):
    """What came back: status 0 where nothing did; names of headers in lower case."""

    status: int
    headers: dict
    seconds: float


NOTHING = 0


class Person:
    """Somebody at a browser, talking to the web server."""

    def __init__(self, session, port):
        self.session = session
        self.port = port
        self.token = secrets.token_hex(16)
        self.cookies = f"sessionid={session}; csrftoken={self.token}"

    @classmethod
    def of(cls, person, port):
        browser = Browser()
        browser.force_login(person.user)
        return cls(browser.cookies["sessionid"].value, port)

    def get(self, address):
        return self._ask("GET", address)

    def post(self, address, *, hang_up=None, **form):
        """With `hang_up`, the line is cut so many seconds after sending, and no answer is heard."""
        return self._ask("POST", address, urlencode(form), hang_up)

    def _ask(self, method, address, body=None, hang_up=None):
        headers = {"Cookie": self.cookies, "X-CSRFToken": self.token}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        started = time.monotonic()
        status, told = NOTHING, {}
        try:
            connection.request(method, address, body, headers)
            if hang_up is None:
                response = connection.getresponse()
                response.read()
                status = response.status
                told = {name.lower(): value for name, value in response.getheaders()}
            else:
                time.sleep(hang_up)
        except (OSError, http.client.HTTPException):
            status = NOTHING
        finally:
            connection.close()
        return Answer(status, told, time.monotonic() - started)


def answers(port):
    return Person("", port).get("/-/health").status == 200


def wait_for(fact, seconds):
    """True once it is so, False when the time is over."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
