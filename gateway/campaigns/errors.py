"""Why something cannot be done with a campaign.

CampaignError
 ├── NoSuchCampaignError
 ├── CampaignStateError    not from the state it is in
 └── BadLeadsError         some of the leads given are no good
"""

from collections.abc import Sequence

from gateway.campaigns.views import RefusedLead


class CampaignError(Exception):
    """What was asked of a campaign and was not done."""


class NoSuchCampaignError(CampaignError):
    """There is no campaign ``id``."""

    def __init__(self, campaign: str) -> None:
        super().__init__(campaign)
        self.campaign = campaign

    def __str__(self) -> str:
        return f"there is no campaign {self.campaign[:40]!r}; callfarm campaign list shows all"


class CampaignStateError(CampaignError):
    """The campaign is ``state``; ``wanted`` is what was asked for."""

    def __init__(self, campaign: str, state: str, wanted: str) -> None:
        super().__init__(campaign, state, wanted)
        self.campaign, self.state, self.wanted = campaign, state, wanted

    def __str__(self) -> str:
        return f"the campaign is {self.state}: {_ADVICE.get(self.wanted, 'it is over already')}"


_ADVICE = {
    "start": "only a draft that has leads is started",
    "add": "leads are added to a draft only",
    "pause": "only a running one is paused",
    "resume": "only a paused or stopped one is resumed",
}


class BadLeadsError(CampaignError):
    """Some of the leads are refused, so none was added."""

    def __init__(self, refused: Sequence[RefusedLead]) -> None:
        super().__init__(refused)
        self.refused = refused

    def __str__(self) -> str:
        first = self.refused[0]
        more = f", and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
        return f"row {first.row + 1}: {first.reason}{more}; mend them, or have bad ones skipped"
