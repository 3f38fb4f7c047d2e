#!/usr/bin/env python
"""Django's command line for Zhiqing."""

import os
import sys

from django.core.management import execute_from_command_line

from config.env import SettingError

OFFLINE = {"verify_receipt", "verify_certificate"}
"""Commands that run on any machine, without a stack."""

if __name__ == "__main__":
    offline = len(sys.argv) > 1 and sys.argv[1] in OFFLINE
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.offline" if offline else "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        sys.exit(f"error: {error}")
