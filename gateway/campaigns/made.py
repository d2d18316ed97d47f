"""The campaigns of a gateway, made of its parts."""

import time

from gateway.calls.registry import Calls
from gateway.campaigns.moves import Post
from gateway.campaigns.service import Campaigns
from gateway.campaigns.surroundings import Surroundings
from gateway.carriers.twilio import faults
from gateway.dialer.acceptance import ringing
from gateway.dialer.dialer import Dialer
from gateway.farm.farm import Farm
from gateway.store.store import Store


def make_campaigns(
    store: Store, dialer: Dialer, calls: Calls, farm: Farm, places: int, post: Post
) -> Campaigns:
    """Return campaigns that call only while fewer than ``places`` calls are in progress, or ring.

    ``post`` tells an event to those who want to know.
    """

    def free() -> int:
        if not farm.ready or calls.draining:
            return 0
        others = (it for it in dialer.following if it.campaign is None)
        return places - len(calls) - ringing(others, time.time())

    around = Surroundings(dialer, free, calls.unserved, faults.OF_THE_ACCOUNT, faults.OF_THE_MOMENT)
    return Campaigns(store, around, post)


def places(most_calls: int, reserve: int) -> int:
    """Return how many calls there may be before campaigns wait: one at least.

    ``most_calls`` is MAX_CALLS, ``reserve`` CAMPAIGN_RESERVE: the percentage of it, rounded up,
    that is left to callers.
    """
    return max(1, most_calls - -(-most_calls * reserve // 100))
