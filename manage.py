#!/usr/bin/env python
import os
import sys

from django.core.management import execute_from_command_line

from aegir_support import deeds

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aegir_support.settings")
    with deeds.by(None, what=f"manage.py {' '.join(sys.argv[1:2])}"):
        execute_from_command_line(sys.argv)
