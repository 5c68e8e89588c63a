"""Pages of the shop, with the script in their head as a shop has it."""

from tests.browser.sites import Clicks

RAW = "gAAAAB%2Bq-x%2F_Zw=="
"""An oppref as it stands in an address: decoding it once would change it."""


def with_script(clicks: Clicks, body: str = "", *, consent: str | None = "none", before: str = "") -> str:
    """A page; ``before`` is the HTML in front of the script's tag."""
    attribute = "" if consent is None else f' data-consent="{consent}"'
    tag = f'<script src="{clicks.origin}/relay-click.js"{attribute}></script>'
    return f"<!doctype html><html><head><title>Shop</title>{before}{tag}</head><body>{body}</body></html>"
