"""A folder to begin with: `measurement.toml` with every setting explained, and a small sample of each kind of file.

The samples are invented, in the format of each export. The settings read those that one shop would have; the others
stand there as comments. So `relay report` runs before the first real export is there, and a real one replaces a sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from measurement.problems import BadInput

SAMPLES: Final = Path(__file__).with_name("samples")
NAME: Final = "measurement.toml"

SETTINGS: Final = """\
# What relay report reads. docs/measuring.md explains every line: where to click for each export, and its columns.

[report]
shop = "Northwind Trail"
time_zone = "America/New_York"    # of the shop: it decides on which day a sale falls
currency = "USD"                  # of the report; all amounts are converted to it
first = 2026-09-01
last = 2026-09-30
# days = 90                       # in place of first and last: the 90 days up to yesterday
conversion_type = "order_created"
threshold = 0.02                  # relay reconcile objects when two systems differ by more, without a reason

[rates]                           # what 1 of a currency is worth in the report's currency
EUR = 1.08

[channels]                        # source / medium of your own, before the built-in rules; * is anything
"partner-* / *" = "affiliate"

# What the shop itself counts: the source of truth.
[[input]]
kind = "orders_shopify"           # Orders > Export > All orders, CSV
file = "orders_shopify.csv"

# [[input]]
# kind = "orders_stripe"          # Payments > Export > All columns
# file = "orders_stripe.csv"

# [[input]]
# kind = "orders"                 # any other shop
# file = "orders.csv"

# What the relay recorded: how many came from ChatGPT is counted here, so without it the report says little.
# [[input]]
# kind = "ledger"                   # of the deployed stack; needs AWS credentials
# stack = "conversion-relay"

# [[input]]
# kind = "relay_logs"               # what was received, and why it was ignored
# stack = "conversion-relay"

# [[input]]
# kind = "dynamodb_export"          # in place of ledger: an export of its table to S3, copied here
# file = "ledger-export"

# What OpenAI reports. Its key stands in OPENAI_ADS_ADVERTISER_KEY.
# [[input]]
# kind = "openai_insights"

# What GA4 saw.
[[input]]
kind = "ga4_exploration"          # Explore > Free form > Export > CSV
file = "ga4_exploration.csv"
currency = "USD"                  # an exploration does not say its currency

[[input]]
kind = "ga4_transactions"
file = "ga4_transactions.csv"
currency = "USD"

# [[input]]
# kind = "ga4_bigquery"           # in place of both: every event, so touches and persons too
# files = ["ga4/*.parquet"]

# [[input]]
# kind = "ga4_api"                # in place of both exports: pip install google-analytics-data
# property = "463855"

# What was paid.
[[input]]
kind = "spend"
file = "spend.csv"

[[input]]
kind = "google_ads"               # Campaigns > Segment > Time > Day, then Download > CSV
file = "google_ads.csv"

[[input]]
kind = "meta_ads"                 # Ads Manager > Breakdown > By time > Day, then Export > CSV
file = "meta_ads.csv"

# What buyers say.
[[input]]
kind = "fairing"
file = "fairing.csv"
chatgpt = "ai_assistant"          # a bare "ChatGPT": the ad (chatgpt) or an answer (ai_assistant)
[input.options]                   # options of your survey that are to keep their text
"ChatGPT (ad)" = "chatgpt"

# [[input]]
# kind = "knocommerce"
# file = "knocommerce.csv"

# [[input]]
# kind = "typeform"
# file = "typeform.csv"

# [[input]]
# kind = "survey"                 # any other tool
# file = "survey.csv"

# The CRM.
[[input]]
kind = "hubspot_deals"
file = "hubspot_deals.csv"
time_zone = "America/New_York"    # HubSpot exports local times without a zone
[input.sources]                   # words of the CRM that may mean several channels
"Paid Search" = "google_ads"

# [[input]]
# kind = "hubspot_contacts"
# file = "hubspot_contacts.csv"
# time_zone = "America/New_York"

# [[input]]
# kind = "salesforce_opportunities"
# file = "salesforce_opportunities.csv"
# dates = "month first"

# [[input]]
# kind = "salesforce_leads"
# file = "salesforce_leads.csv"
# dates = "month first"

# [[input]]
# kind = "crm"
# file = "crm.csv"

# Who touched what, and who placed which order.
[[input]]
kind = "touches"
file = "touches.csv"

[[input]]
kind = "links"
file = "links.csv"

# Sales by day and market, for tests by market.
[[input]]
kind = "sales"
file = "sales.csv"

# A test that was run. geo: markets in which the ads were off (or on); on_off: days on which they ran.
# [[test]]
# name = "Holdout in spring"
# kind = "geo"
# first = 2026-09-01
# last = 2026-09-28
# markets = ["US-OR"]
# ads = "off"
"""


def begin(folder: Path) -> tuple[Path, ...]:
    """Write settings and samples into a folder, which is made; the files that were written.

    Raises:
        BadInput: there is a file of that name already, or the folder cannot be written. Then nothing is written.
    """
    contents = {NAME: SETTINGS.encode()} | {each.name: each.read_bytes() for each in sorted(SAMPLES.glob("*.csv"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in contents:
            if (folder / name).exists():
                raise BadInput(str(folder / name), "is there already", "Name another folder, or move it away.")
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as problem:
        raise BadInput(str(folder), f"cannot be written ({problem.strerror})", "Name another folder.") from None
    return tuple(folder / name for name in contents)
