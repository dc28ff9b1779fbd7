import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aegir_support import backup, drill, pgtools
from aegir_support.processes import NotReady


class Command(BaseCommand):
    help = (
        "Restore a copy made now, or an archive of `backup`, into a PostgreSQL of its own, "
        "hold it against what was copied and against invariants.sql, and log one person in. The work is only read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path, nargs="?", help="a copy is made now where none is named")
        parser.add_argument("--in-the-copy", type=Path, help=argparse.SUPPRESS)

    def handle(self, *args: Any, archive: Path | None, in_the_copy: Path | None, **options: Any) -> None:
        if archive and in_the_copy:
            in_the_copy.write_text(json.dumps(drill.in_the_copy(archive, self.stdout.write)))
            return
        try:
            figures = drill.drill(archive, self.stdout.write)
        except (backup.Failed, pgtools.ToolMissing, NotReady, *backup.TROUBLE) as error:
            raise CommandError(str(error)) from error
        seconds = figures.pop("seconds")
        self.stdout.write(", ".join(f"{number} {what}" for what, number in figures.items()) + ".")
        self.stdout.write(", ".join(f"{step} {number} s" for step, number in seconds.items()) + ".")
        self.stdout.write(self.style.SUCCESS("The drill has passed."))
