"""Which Chromium the tests of this folder drive, and how it is started."""

import os
import shutil
from typing import Final

CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
"""The program; None where there is none."""
REQUIRED: Final = os.environ.get("RELAY_BROWSER") == "required"
"""Whether its absence is an error."""
MISSING: Final = "Chromium is not installed (apt-get install -y chromium, or name the program in CHROMIUM)"
FLAGS: Final = [
    "--no-sandbox",  # as root in a container there is none
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
