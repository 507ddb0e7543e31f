"""Names of companies that do not exist."""

from __future__ import annotations

from random import Random

_FIRST = (
    "Alder Amber Arbor Beacon Birch Bluebird Cedar Cobalt Copper Coral Crescent Delta Drift Ember "
    "Falcon Fern Garnet Harbor Hazel Indigo Juniper Kestrel Lantern Linden Lumen Maple Meridian "
    "Mosaic Nimbus North Onyx Orchard Osprey Pebble Pine Quartz Raven Reed Saffron Silver Slate "
    "Sparrow Summit Tidal Topaz Umber Vale Willow Wren Zephyr"
).split()
_SECOND = (
    "Analytics Biotech Capital Commerce Diagnostics Dynamics Foods Freight Games Health "
    "Insurance Labs Learning Logistics Media Mobility Motors Payments Research Retail Robotics "
    "Security Software Studios Systems Telecom Travel Ventures"
).split()


def company_names(count: int, rng: Random) -> list[str]:
    """`count` different names of two words."""
    return rng.sample([f"{first} {second}" for first in _FIRST for second in _SECOND], count)
