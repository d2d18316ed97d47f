"""The campaigns of a gateway, made of its parts."""

from collections.abc import Callable

import msgspec

from gateway.calls.registry import Calls
from gateway.campaigns.service import Campaigns, Tell
from gateway.campaigns.states import CampaignMove
from gateway.campaigns.surroundings import Surroundings
from gateway.campaigns.views import CampaignView, Progress
from gateway.carriers.twilio import faults
from gateway.dialer.dialer import Dialer
from gateway.farm.farm import Farm
from gateway.outbox.event import Event
from gateway.store.store import Store

EVENTS = {
    CampaignMove.START: "campaign.started",
    CampaignMove.PAUSE: "campaign.paused",
    CampaignMove.RESUME: "campaign.resumed",
    CampaignMove.CANCEL: "campaign.cancelled",
    CampaignMove.TRIP: "campaign.stopped",
    CampaignMove.FINISH: "campaign.completed",
}
"""What webhooks are told of a campaign."""


def make_campaigns(
    store: Store,
    dialer: Dialer,
    calls: Calls,
    farm: Farm,
    most_calls: int,
    post: Callable[[Event], object],
) -> Campaigns:
    """Return campaigns that leave no call without a process: ``most_calls`` is MAX_CALLS.

    ``post`` tells an event to those who want to know.
    """

    def free() -> int:
        able = farm.ready and not calls.draining
        return most_calls - len(calls) if able else 0

    around = Surroundings(dialer, free, calls.unserved, faults.OF_THE_ACCOUNT, faults.OF_THE_MOMENT)
    return Campaigns(store, around, teller(post))


def teller(post: Callable[[Event], object]) -> Tell:
    """Return what posts a campaign's moves as events."""

    def tell(move: CampaignMove, it: CampaignView, progress: Progress) -> None:
        data = msgspec.to_builtins(progress)
        post(Event(EVENTS[move], call={}, data={"campaign": data}, company=it.company))

    return tell
