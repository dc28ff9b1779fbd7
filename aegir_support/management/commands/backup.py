from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aegir_support import backup, deeds, pgtools
from aegir_support.models import Deed
from aegir_support.processes import NotReady


class Command(BaseCommand):
    help = "Copy the database and the private files into one archive, beside the work. SECRET_KEY is not inside."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("to", type=Path, help="a folder, or the file to make")

    def handle(self, *args: Any, to: Path, **options: Any) -> None:
        try:
            path, manifest = backup.make(to, self.stdout.write)
        except (backup.Failed, pgtools.ToolMissing, NotReady, *backup.TROUBLE) as error:
            raise CommandError(str(error)) from error
        deeds.record(Deed.Kind.EXPORTED, files=len(manifest["files"]), bytes=backup.size(path))
        self.stdout.write(f"{path}: {backup.size(path)} bytes. Keep it encrypted, and SECRET_KEY elsewhere.")
        if manifest["lacking"]:
            lines = [f"{name} {why}" for name, why in manifest["lacking"].items()]
            raise CommandError("The copy is made, and lacks what was lost before:\n" + "\n".join(lines))
