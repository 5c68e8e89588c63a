"""GA4: a channel group in which ChatGPT Ads are a channel of their own, for the Admin API and by hand.

The body is one of ``properties.channelGroups.create`` of the Google Analytics Admin API, version v1alpha, which is the
only version that has the method (looked up 2026-11-29: REST reference, and the message types of google-analytics-admin
0.30.2). The reference does not list the names of the dimensions; ``eachScope…`` is what the API takes, by public code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from tools.utm.address import MEDIUMS, SOURCE

CALL: Final = "POST https://analyticsadmin.googleapis.com/v1alpha/properties/{property}/channelGroups"
SCOPE: Final = "https://www.googleapis.com/auth/analytics.edit"
GROUP: Final = "Channels with ChatGPT Ads"
_SOURCE, _MEDIUM, _DEFAULT = "eachScopeSource", "eachScopeMedium", "eachScopeDefaultChannelGroup"
SPELLINGS: Final = r"(chat\.|www\.)?(chat[-_ ]?gpt|openai)(\.com)?"
"""Sources that are ChatGPT, however spelled; matched as a whole, in any case."""
DEFAULTS: Final = (
    "Direct",
    "Cross-network",
    "Paid Shopping",
    "Paid Search",
    "Paid Social",
    "Paid Video",
    "Display",
    "Paid Other",
    "Organic Shopping",
    "Organic Social",
    "Organic Video",
    "Organic Search",
    "Email",
    "Affiliates",
    "Referral",
    "Audio",
    "SMS",
    "Mobile Push Notifications",
)
"""GA4's own channels, so that nothing else becomes Unassigned (Analytics help: default channel group)."""


def body() -> dict[str, Any]:
    """The channel group; the first rule that fits counts."""
    return {
        "displayName": GROUP,
        "description": "ChatGPT Ads: utm_source=chatgpt with utm_medium cpc or cpm. All else as GA4 groups it.",
        "groupingRule": [
            _rule("ChatGPT Ads", [_exactly(_SOURCE, SOURCE)], [_exactly(_MEDIUM, each) for each in MEDIUMS]),
            _rule(
                "ChatGPT Ads, misspelled",
                [_like(_SOURCE, SPELLINGS)],
                [_like(_MEDIUM, r"(.*cp.*|ppc|retargeting|paid.*)")],
            ),
            _rule("ChatGPT, not paid", [_like(_SOURCE, SPELLINGS)]),
            *(_rule(name, [_exactly(_DEFAULT, name)]) for name in DEFAULTS),
        ],
    }


def _rule(name: str, *alternatives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # At the top an andGroup of orGroups, also where there is one filter only: the API takes no other form.
    groups = [{"orGroup": {"filterExpressions": list(each)}} for each in alternatives]
    return {"displayName": name, "expression": {"andGroup": {"filterExpressions": groups}}}


def _exactly(field: str, value: str) -> dict[str, Any]:
    return _filter(field, "EXACT", value)


def _like(field: str, pattern: str) -> dict[str, Any]:
    return _filter(field, "FULL_REGEXP", pattern)


def _filter(field: str, match: str, value: str) -> dict[str, Any]:
    return {"filter": {"fieldName": field, "stringFilter": {"matchType": match, "value": value}}}


def steps(property_id: str) -> str:
    """What a person does, by hand or with the API."""
    return f"""\
GA4: ChatGPT Ads as a channel of its own

By hand
  1. Admin > Data display > Channel groups > Create new channel group. It begins as a copy of GA4's own channels.
  2. Add new channel: "ChatGPT Ads". Conditions: Source exactly matches {SOURCE}; and
     Medium exactly matches {MEDIUMS[0]}, or exactly matches {MEDIUMS[1]}.
  3. Add new channel: "ChatGPT, not paid". Condition: Source matches regex {SPELLINGS}
  4. Reorder: "ChatGPT Ads" first, then "ChatGPT, not paid": the first rule that fits counts. Save.
  5. In reports choose the group as dimension, such as "Session {GROUP}".

With the Admin API (v1alpha; scope {SCOPE})
  {CALL.format(property=property_id)}
  body: relay utm ga4 --json > channel-group.json

Without it, GA4 puts cpm into Display and cpc into Paid Other, among everything else that is paid.
"""


def as_json() -> str:
    """The body as it is posted."""
    return json.dumps(body(), ensure_ascii=False, indent=2)
