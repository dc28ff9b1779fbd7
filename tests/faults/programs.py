"""The programs of production, each in its own process, on the test's database and a broker that may die."""

import http.client
import os
import secrets
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from django.test import Client as Browser

from aegir_support.processes import Child
from tests.races.elsewhere import environment, here

CONCURRENCY = 2


class Programs:
    """Starts workers, a beat and a web server, and ends those that still run at the end."""

    def __init__(self, folder, broker, sink):
        self.folder = folder
        self.variables = environment(
            DEPLOYMENT="test",
            REDIS_URL=broker.url,
            LOCAL_DIR=str(folder),
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(sink.port),
        )
        self.started = []

    def worker(self, jobs="aegir_support"):
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return self._start("worker", ["celery", "-A", jobs, "worker", "-c", str(CONCURRENCY), *quiet])

    def beat(self, jobs="aegir_support"):
        (self.folder / "beat-schedule").unlink(missing_ok=True)
        return self._start("beat", ["celery", "-A", jobs, "beat"])

    def web(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        serving = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--blocking-threads", "4"]
        granian = ["granian", "--interface", "wsgi", "aegir_support.wsgi:application", "--no-ws", *serving]
        web = self._start("web", granian)
        web.wait_until(lambda: _answers(port), within=40)
        return port

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


def kill_pool(worker):
    """SIGKILL for the processes that do the jobs; the one that hands them out lives on. False when there are none."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    return bool(children)


class Person:
    """Somebody at a browser, talking to the web server."""

    def __init__(self, person, port):
        browser = Browser()
        browser.force_login(person.user)
        self.port = port
        self.token = secrets.token_hex(16)
        self.cookies = f"sessionid={browser.cookies['sessionid'].value}; csrftoken={self.token}"

    def get(self, address):
        return self._ask("GET", address)

    def post(self, address, **form):
        return self._ask("POST", address, urlencode(form))

    def _ask(self, method, address, body=None):
        headers = {"Cookie": self.cookies, "X-CSRFToken": self.token}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, address, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


def _answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(fact, seconds):
    """True once it is so, False when the time is over."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
