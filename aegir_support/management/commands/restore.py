from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aegir_support import backup, pgtools, restore
from aegir_support.processes import NotReady


class Command(BaseCommand):
    help = "Load an archive of `backup` into the empty database of DATABASE_URL and the storage, and verify both."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path)
        parser.add_argument("--replace", action="store_true", help="give up what is in the database")

    def handle(self, *args: Any, archive: Path, replace: bool, **options: Any) -> None:
        try:
            manifest = restore.restore(archive, self.stdout.write, replace=replace)
        except (backup.Failed, pgtools.ToolMissing, NotReady, *backup.TROUBLE) as error:
            raise CommandError(str(error)) from error
        if set(manifest["migrations"]) < backup.in_the_code():
            self.stdout.write("The copy is older than this version of the site: run `manage.py migrate`.")
