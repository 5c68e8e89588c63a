"""Writes functions/click/relay-click.min.js, the script for shop pages, from its readable source.

    python -m tools.page_script    writes it (make script)

The minified file is committed, so that a deployment needs no minifier; a unit test holds it against its source.
"""

import sys
from pathlib import Path
from typing import Final

import minify  # type: ignore[import-untyped]

FOLDER: Final = Path(__file__).parent.parent / "functions" / "click"
SOURCE: Final = FOLDER / "page" / "relay-click.js"
TARGET: Final = FOLDER / "relay-click.min.js"
LIMIT: Final = 2_500
"""The file has fewer bytes than this."""


def minified() -> str:
    """The script for the page.

    Raises:
        ValueError: it has `LIMIT` bytes or more.
    """
    script: str = minify.string("application/javascript", SOURCE.read_text(encoding="utf-8"))
    if (size := len(script.encode())) >= LIMIT:
        raise ValueError(f"{TARGET.name} would have {size:,} bytes: it has to stay below {LIMIT:,}")
    return script


def main() -> int:
    """Write it; the exit status."""
    try:
        script = minified()
    except ValueError as problem:
        print(f"{problem}. Make {SOURCE.name} shorter.", file=sys.stderr)
        return 1
    TARGET.write_text(script, encoding="utf-8")
    print(f"{TARGET.name}: {len(script.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
