#!/usr/bin/env python
"""Django's command line for Zhiqing."""

import os
import sys

from django.core.management import execute_from_command_line

from config.env import SettingError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        sys.exit(f"error: {error}")
