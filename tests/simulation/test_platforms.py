"""The stories that real platforms tell in simulated worlds."""

import json

import pytest

from tests.simulation.histories import of_platforms
from tests.simulation.platforms import TEMPLATES, Template, expected


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: f"{each.source} {each.samples[0]}")
def test_two_stories_tell_of_different_conversions(template: Template) -> None:
    one, other = expected(template, 1), expected(template, 2)

    assert len(one) == len(other)
    assert one.keys().isdisjoint(other)
    assert _ids(one).isdisjoint(_ids(other))


def _ids(events: dict[str, str]) -> set[str]:
    return {json.loads(each)["id"] for each in events.values()}


def test_most_platforms_have_something_to_count() -> None:
    assert len([each for each in TEMPLATES if expected(each, 1)]) >= 13
    worlds = [of_platforms(seed) for seed in range(40)]
    sources = {key.partition("#")[2].partition(":")[0] for world in worlds for key in world.properties.identities}
    assert sources == {"shopify", "stripe", "callrail", "ctm", "whatconverts", "twilio"}
