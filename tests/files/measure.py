"""What one file costs: keep each file of a folder in a process of its own, and print its seconds and megabytes.

`python -m tests.files.measure FOLDER`, or with `naive` as an upload form without care would do it.
"""

import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import django
from django.core.files.base import File
from PIL import Image

django.setup()  # what is imported is not the file's cost

from aegir_support import files  # noqa: E402


def peak_mb():
    # The high-water mark of this process alone: getrusage would count the one it was forked from as well.
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


def carefully(path):
    with path.open("rb") as content:
        return files.store(File(content, name=path.name)).is_picture


def naively(path):
    """Open every frame of it and make it smaller, with Pillow's own limit switched off."""
    Image.MAX_IMAGE_PIXELS = None
    resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
    resource.setrlimit(resource.RLIMIT_CPU, (8, 8))
    with Image.open(path) as picture:
        for frame in range(getattr(picture, "n_frames", 1)):
            picture.seek(frame)
            picture.convert("RGBA").resize((480, 480))
    return True


def measured(path, keep):
    """In a child, so that one file's memory is not counted for the next."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        started = time.process_time()  # what it costs, however busy the machine is with others
        try:
            outcome = keep(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            outcome = type(error).__name__
        facts = {"seconds": time.process_time() - started, "mb": peak_mb(), "picture": outcome}
        os.write(writing, json.dumps(facts).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {"seconds": 99, "mb": 9999, "picture": "killed"}


if __name__ == "__main__":
    keep = naively if "naive" in sys.argv else carefully
    print(json.dumps({path.name: measured(path, keep) for path in sorted(Path(sys.argv[1]).iterdir())}))
