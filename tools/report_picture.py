"""``make picture``: the picture of the demo report for the README, small enough for a page."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from tools import report
from tools.chromium import NoChromium, chromium

PICTURE: Final = Path("docs/pictures/report.webp")
WIDTH: Final = 1000
MOST_BYTES: Final = 300_000
SECTIONS: Final = ("says", "attribution")
"""Of the report: the five sentences, and the first chart of attribution."""
_SHORTEN: Final = """kept => {
    for (const each of document.querySelectorAll('main > section, main > nav, footer, details'))
        if (!kept.includes(each.id)) each.remove();
    const parts = [...document.querySelector('#' + kept.at(-1)).children];
    parts.slice(parts.findIndex(each => each.tagName === 'FIGURE') + 1).forEach(each => each.remove());
    document.body.style.paddingBottom = '1.5rem';
}"""
_AS_WEBP: Final = """async png => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + png;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.9).split(',')[1];
}"""


def main() -> int:
    """Make the report if it is not there, and the picture of it; the exit status."""
    page = report.DEMO_OUT / "report.html"
    try:
        if not page.exists():
            report.demo(Console(), report.DEMO_OUT)
        picture = photograph(page)
    except NoChromium as problem:
        print(f"report picture: {problem}", file=sys.stderr)
        return 2
    if len(picture) > MOST_BYTES:
        print(f"report picture: {len(picture):,} bytes, more than {MOST_BYTES:,}: show less of it.", file=sys.stderr)
        return 1
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(picture)
    print(f"{PICTURE}: {len(picture):,} bytes")
    return 0


def photograph(page: Path) -> bytes:
    """The five sentences and the first chart of attribution, as WebP."""
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": WIDTH, "height": 1400}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        opened.evaluate(_SHORTEN, list(SECTIONS))
        shot = base64.b64encode(opened.screenshot(full_page=True)).decode()
        blank = browser.new_page()
        return base64.b64decode(blank.evaluate(_AS_WEBP, shot))


if __name__ == "__main__":
    raise SystemExit(main())
