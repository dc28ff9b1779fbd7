from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from billing import catalogue


class Command(BaseCommand):
    help = "Load tiers, packs and prices that are not there yet from a folder of CSV files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, default=settings.BASE_DIR / "data")

    def handle(self, *args: Any, **options: Any) -> None:
        catalogue.load(options["folder"])
        self.stdout.write(self.style.SUCCESS("The catalogue is loaded."))
