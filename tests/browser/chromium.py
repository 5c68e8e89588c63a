"""Which Chromium the tests of this folder drive, and what is said where there is none."""

import os
from typing import Final

from tools.chromium import FLAGS, installed

__all__ = ["CHROMIUM", "FLAGS", "MISSING", "REQUIRED"]

CHROMIUM: Final = installed()
"""The program; None where there is none."""
REQUIRED: Final = os.environ.get("RELAY_BROWSER") == "required"
"""Whether its absence is an error."""
MISSING: Final = "Chromium is not installed (apt-get install -y chromium, or name the program in CHROMIUM)"
