"""Where files lie when they lie in a folder: written whole or not at all, readable by us alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class PrivateFolder(FileSystemStorage):
    """A folder that nobody serves. A file appears under its name only when all of it is on the disk.

    Django's own storage writes under the final name, so a killed process would leave half a file that looks whole.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location=location, allow_overwrite=True, file_permissions_mode=0o600)

    def url(self, name: str | None) -> str:
        """Raise ValueError: no address leads past the view that asks who may read it."""
        raise ValueError("Files are private; they are read through a view.")

    def delete(self, name: str) -> None:
        """Remove the file, and what a killed process had begun of it."""
        super().delete(name)
        path = Path(self.path(name))
        for begun in path.parent.glob(f".{path.name}.*"):
            begun.unlink(missing_ok=True)

    def _save(self, name: str, content: File[bytes]) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as whole:
            try:
                for chunk in content.chunks():
                    whole.write(chunk)
                whole.flush()
                os.fsync(whole.fileno())
                Path(whole.name).replace(path)  # mode 0600, as tempfile makes it
                self._keep_names(path)
            except BaseException:
                Path(whole.name).unlink(missing_ok=True)
                raise
        return name

    def _keep_names(self, path: Path) -> None:
        """Write down the names on the way to a new file as well: without them a power cut would lose its bytes."""
        for folder in path.parents:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if folder == Path(self.location):
                break
