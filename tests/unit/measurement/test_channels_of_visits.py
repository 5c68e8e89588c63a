"""Source and medium become a channel: as `relay utm` groups ChatGPT, as GA4 groups the rest."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.inputs.channels import NONE, campaign, channel, named
from measurement.tables import CHANNELS
from tools.utm import ga4
from tools.utm.rules import Rules, check


@pytest.mark.parametrize(
    ("source", "medium", "expected"),
    [
        ("chatgpt", "cpc", "chatgpt"),
        ("chatgpt", "cpm", "chatgpt"),
        ("ChatGPT", "Paid", "chatgpt"),
        ("chatgpt.com", "paid_social", "chatgpt"),
        ("openai ads", "ppc", "chatgpt"),
        ("chatgpt.com", "referral", "ai_assistant"),
        ("chatgpt.com", "(not set)", "ai_assistant"),
        ("chat.openai.com", "referral", "ai_assistant"),
        ("chatgpt", "", "ai_assistant"),
        ("perplexity.ai", "referral", "ai_assistant"),
        ("gemini.google.com", "referral", "ai_assistant"),
        ("copilot.microsoft.com", "referral", "ai_assistant"),
        ("google", "cpc", "google_ads"),
        ("youtube", "cpv", "google_ads"),
        ("youtube.com", "cpm", "google_ads"),
        ("google", "display", "google_ads"),
        ("bing", "cpc", "microsoft_ads"),
        ("facebook", "paid_social", "meta_ads"),
        ("ig", "cpc", "meta_ads"),
        ("tiktok", "cpc", "tiktok_ads"),
        ("pinterest", "cpc", "other"),
        ("google", "organic", "organic_search"),
        ("duckduckgo", "organic", "organic_search"),
        ("google.com", "referral", "organic_search"),
        ("l.instagram.com", "referral", "organic_social"),
        ("t.co", "referral", "organic_social"),
        ("anything", "social", "organic_social"),
        ("klaviyo", "flow", "email"),
        ("newsletter_may", "e-mail", "email"),
        ("shareasale", "affiliate", "affiliate"),
        ("flyer", "print", "offline"),
        ("friend", "wom", "word_of_mouth"),
        ("nytimes.com", "referral", "referral"),
        ("(direct)", "(none)", "direct"),
        ("", "", "direct"),
        (None, None, "direct"),
        ("(not set)", "(not set)", "other"),
        ("(data not available)", "(data not available)", "other"),
        ("partner", "banana", "other"),
    ],
)
def test_a_source_and_its_medium(source: str | None, medium: str | None, expected: str) -> None:
    assert channel(source, medium) == expected


@pytest.mark.parametrize(
    "source", ["chatgpt", "ChatGPT", "chat-gpt", "chat gpt", "openai", "www.chatgpt.com", "chat.openai.com"]
)
@pytest.mark.parametrize("medium", ["cpc", "cpm", "paid_search", "ppc", "retargeting", "referral", "organic", "(none)"])
def test_chatgpt_is_told_apart_as_by_the_channel_group_of_relay_utm(source: str, medium: str) -> None:
    rules = {
        rule["displayName"]: rule["expression"]["andGroup"]["filterExpressions"] for rule in ga4.body()["groupingRule"]
    }

    def fits(name: str) -> bool:
        for group in rules[name]:
            alternatives = [each["filter"] for each in group["orGroup"]["filterExpressions"]]
            if not any(
                value == each["stringFilter"]["value"]
                if each["stringFilter"]["matchType"] == "EXACT"
                else re.fullmatch(each["stringFilter"]["value"], value, re.IGNORECASE)
                for each in alternatives
                for value in [source if each["fieldName"] == "eachScopeSource" else medium]
            ):
                return False
        return True

    group = next(name for name in rules if fits(name))
    expected = {"ChatGPT Ads": "chatgpt", "ChatGPT Ads, misspelled": "chatgpt", "ChatGPT, not paid": "ai_assistant"}
    assert channel(source, medium) == expected[group]


@pytest.mark.parametrize("source", ["ChatGPT", "chat_gpt", "chatgpt.com", "open-ai", "chatgpt ads", "chatgpt.org"])
def test_what_relay_utm_lint_calls_a_spelling_of_chatgpt_is_one(source: str) -> None:
    address = f"https://shop.example/?utm_source={source.replace(' ', '%20')}&utm_medium=cpc&utm_campaign=c"
    assert "source_spelling" in {each.rule for each in check(address, Rules()).findings}
    assert channel(source, "cpc") == "chatgpt"


def test_patterns_of_ones_own_come_first_and_the_first_counts() -> None:
    patterns = (("Chat* / cpc", "other"), ("* / cpc", "affiliate"))
    assert channel("ChatGPT", "CPC", patterns) == "other"
    assert channel("google", "cpc", patterns) == "affiliate"
    assert channel("google", "organic", patterns) == "organic_search"


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_visit_has_a_channel_that_exists_and_never_the_unknown_one(source: str, medium: str) -> None:
    assert channel(source, medium) in set(CHANNELS) - {"unknown"}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_is_known_by_its_name(name: str) -> None:
    assert named(name) == name
    assert named(name.replace("_", " ").title()) == name


def test_names_that_people_use_are_known_and_others_are_not() -> None:
    assert named("Facebook Ads") == "meta_ads"
    assert named("ChatGPT  Ads") == "chatgpt"
    assert named("Paid Search") is None
    assert named("") is None


def test_what_means_no_campaign_is_one_word() -> None:
    assert {campaign(each) for each in (None, "", " (not set) ", "(direct)", "(organic)", NONE)} == {NONE}
    assert campaign(" fall_trail ") == "fall_trail"
