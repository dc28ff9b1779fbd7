"""Programs we start ourselves: each ends with us, even when we are killed, and is started again when it dies."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

TAIL_LINES = 12
# A child that has run this long was well: its next death counts as the first again.
WELL_AFTER_SECONDS = 30.0
RESTART_DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0)


class NotReady(Exception):
    """A program did not come up; the message says which one and what it wrote last."""


class Child:
    """A program in a session of its own, so that Ctrl-C reaches it in our order and not in the terminal's."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        prepare: Callable[[], None] | None = None,
        working_dir: Path | None = None,
        privileges: Sequence[str] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        patience: float = 10.0,
    ) -> None:
        """A program, not yet started.

        `prepare` runs before each start, may raise NotReady. `privileges` are options of setpriv(1). `patience` is in
        seconds, from the polite signal to SIGKILL.
        """
        self.name = name
        self.log = log
        self._command = command
        self._prepare = prepare
        self._working_dir = working_dir
        self._privileges = privileges
        self._stop_signal = stop_signal
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; its words are added to `log`. Raises NotReady."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._prepare:
            self._prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (the commands are ours)
                [*dying_with_us(self._stop_signal, self._privileges), *map(str, self._command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._working_dir,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """None before the first start and after the end."""
        return self._process.pid if self._process and self.is_running else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it politely, then by force; nothing of its process group is left behind."""
        self.ask_to_stop()
        self.wait_until_stopped()

    def ask_to_stop(self) -> None:
        if self._process and self.is_running:
            self._process.send_signal(self._stop_signal)

    def wait_until_stopped(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._patience)
        self.kill()

    def kill(self) -> None:
        """End the whole process group at once, also what an already dead leader left in it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None  # the number may soon belong to somebody else

    def wait_until(self, ready: Callable[[], bool], *, within: float = 30.0) -> None:
        """Return once `ready()` says so; `within` is in seconds. Raises NotReady with the last words of the program."""
        deadline = time.monotonic() + within
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                self.stop()
                raise NotReady(f"{self.name} did not start. It said ({self.log}):\n{self.tail()}".rstrip())
            time.sleep(0.05)

    def tail(self) -> str:
        """The last lines the program wrote, indented for the screen."""
        try:
            with self.log.open(errors="replace") as lines:
                return "".join(f"    {line.rstrip()}\n" for line in deque(lines, TAIL_LINES))
        except OSError:
            return ""


class Supervisor:
    """Keeps children running until it is told to stop them."""

    def __init__(self, say: Callable[[str], None], reason: Callable[[], str]) -> None:
        """`say` shows a sentence; `reason` may know why things fail just now (a full disk), or returns nothing."""
        self._say = say
        self._reason = reason
        self._groups: list[list[_Watch]] = []

    def start(self, *children: Child) -> None:
        """Start them together and look after them from now on. Raises NotReady."""
        self._groups.append([])
        for child in children:
            self._groups[-1].append(_Watch(child))
            child.start()

    def look(self) -> None:
        """Start again whatever has died, later each time it dies soon after its start."""
        now = time.monotonic()
        for watch in chain(*self._groups):
            if watch.child.is_running:
                continue
            if watch.restart_at is None:
                watch.note_death(now)
                self._say(self._sentence(watch, now))
            if watch.restart_at is not None and now >= watch.restart_at:
                self._restart(watch, now)

    def _restart(self, watch: "_Watch", now: float) -> None:
        try:
            watch.restart(now)
        except (NotReady, OSError) as error:
            self._say(str(error))

    def _sentence(self, watch: "_Watch", now: float) -> str:
        delay = round((watch.restart_at or now) - now)
        when = f"in {delay} seconds" if delay > 1 else "again"
        sentence = f"{watch.child.name} has ended unexpectedly; starting it {when}."
        if reason := self._reason():
            return f"{sentence} {reason}"
        if watch.deaths > 1:
            sentence += f" It said ({watch.child.log}):\n{watch.child.tail()}".rstrip()
        return sentence

    def stop(self) -> None:
        """Stop all, those started last first: what serves people ends before what it needs."""
        while self._groups:
            children = [watch.child for watch in self._groups.pop()]
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.wait_until_stopped()


class _Watch:
    def __init__(self, child: Child) -> None:
        self.child = child
        self.deaths = 0
        self.restart_at: float | None = None
        self._started_at = time.monotonic()

    def note_death(self, now: float) -> None:
        self.deaths = 1 if now - self._started_at > WELL_AFTER_SECONDS else self.deaths + 1
        self.restart_at = now + RESTART_DELAYS[min(self.deaths, len(RESTART_DELAYS)) - 1]
        self.child.kill()

    def restart(self, now: float) -> None:
        self._started_at = now
        self.restart_at = None
        self.child.start()


def dying_with_us(stop_signal: signal.Signals, privileges: Sequence[str] = ()) -> list[str]:
    """The words before a command that make the kernel send it `stop_signal` when we die, however we die.

    setpriv belongs to util-linux, which every Debian has. Elsewhere a killed supervisor may leave its children behind.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    return [setpriv, *privileges, "--pdeathsig", stop_signal.name.removeprefix("SIG")]
