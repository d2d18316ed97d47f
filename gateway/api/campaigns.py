"""Campaigns: made, filled, started, halted, watched."""

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.responses import Response

from gateway.api.caller import Caller, Scope
from gateway.api.calls import Number
from gateway.api.dial_problems import dial_problem
from gateway.api.endpoint import Asked, Endpoint, Handler, NoQuery
from gateway.api.problems import ProblemError, sentence
from gateway.api.repeats import id_of, key_of, other_request
from gateway.campaigns.admission import Candidate
from gateway.campaigns.errors import (
    BadLeadsError,
    CampaignError,
    CampaignStateError,
    NoSuchCampaignError,
)
from gateway.campaigns.policy import Policy
from gateway.campaigns.service import MOST_ADDED, Campaigns
from gateway.campaigns.states import CampaignState, LeadState
from gateway.campaigns.views import Added, CampaignView, LeadPage, Progress
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialError
from gateway.store.store import StoreError

MOST_LEADS_BODY = 8 << 20
"""Bytes of a request with leads and their variables."""

PAGE = 200

Result = TypeVar("Result")


class CampaignsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which campaigns, the newest first; ``before`` is the ``next`` of the page before."""

    state: CampaignState | None = None
    company: Number | None = None
    before: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE)] = 50


class CampaignList(msgspec.Struct):
    """Campaigns. ``next`` is the ``before`` of the next page, null after the last."""

    campaigns: list[CampaignView]
    next: float | None


class NewCampaign(msgspec.Struct, forbid_unknown_fields=True):
    """A campaign to be made: a draft without leads."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    policy: Policy = Policy()
    company: Number | None = None


class NewLeads(msgspec.Struct, forbid_unknown_fields=True):
    """Who is to be called. ``first`` is the number of the first one, by default the next.

    With ``first`` a request can be repeated without harm.
    """

    leads: Annotated[list[Candidate], msgspec.Meta(min_length=1, max_length=MOST_ADDED)]
    first: Annotated[int, msgspec.Meta(ge=0, le=10**7)] | None = None
    skip_bad: bool = False
    repeats: bool = False


class LeadsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Those behind ``after``, in the order in which they were given."""

    after: Annotated[int, msgspec.Meta(ge=-1, le=10**7)] = -1
    state: LeadState | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE)] = 100


class CampaignsSection:
    """The gateway's campaigns."""

    tag = "campaigns"

    def __init__(self, campaigns: Campaigns | None, dialer: Dialer | None = None) -> None:
        self._campaigns, self._dialer = campaigns, dialer

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        every = "/api/campaigns"
        one = every + "/{id}"
        return [
            Endpoint(
                method="GET",
                path=every,
                scope=Scope.READ,
                handler=self._list,
                summary="List campaigns, the newest first.",
                query=CampaignsQuery,
                answer=CampaignList,
            ),
            Endpoint(
                method="POST",
                path=every,
                scope=Scope.CALLS,
                handler=self._create,
                summary="Make a campaign: a draft without leads.",
                body=NewCampaign,
                answer=CampaignView,
                status=201,
                others={200: CampaignView},
                keyed=True,
                refusals=(422,),
            ),
            _shown(one, self._show, "Show a campaign.", CampaignView),
            _shown(one + "/progress", self._progress, "Tell how far it is.", Progress),
            _shown(one + "/leads", self._leads, "List its leads.", LeadPage, LeadsQuery),
            Endpoint(
                method="POST",
                path=one + "/leads",
                scope=Scope.CALLS,
                handler=self._add,
                summary=f"Add leads to a draft, at most {MOST_ADDED} at once.",
                body=NewLeads,
                most_body=MOST_LEADS_BODY,
                answer=Added,
                refusals=(404, 409, 422),
            ),
            _ordered(one, "start", self._start, "Begin to call."),
            _ordered(one, "pause", self._pause, "Call nobody new; calls in progress go on."),
            _ordered(one, "resume", self._resume, "Go on with one that is paused or stopped."),
            _ordered(one, "cancel", self._cancel, "Call nobody any more."),
        ]

    @property
    def _service(self) -> Campaigns:
        if self._campaigns is None:
            raise ProblemError(503, "This gateway runs no campaigns.")
        return self._campaigns

    async def _list(self, asked: Asked[CampaignsQuery, None]) -> CampaignList:
        query, company = asked.query, _whose(asked.query.company, asked.who)
        state = query.state.value if query.state is not None else None
        found = list(await self._service.list(state, company, query.before, query.limit))
        more = len(found) == query.limit
        return CampaignList(found, found[-1].created if more else None)

    async def _create(self, asked: Asked[NoQuery, NewCampaign]) -> object:
        it, key = asked.body, key_of(asked.request)
        company = _whose(it.company, asked.who)
        if it.policy.agent and self._dialer is not None:
            await _done(self._dialer.check_agent(it.policy.agent, company))
        if key is None:
            return await _done(self._service.create(it.name, it.policy, company))
        campaign = "c" + id_of("campaign", company, key)
        try:
            return await _done(self._service.create(it.name, it.policy, company, campaign))
        except StoreError as error:
            if not error.taken:
                raise
        before = await _done(self._service.get(campaign))
        if (before.name, before.policy, before.company) != (it.name, it.policy, company):
            raise other_request("campaign")
        return Response(msgspec.json.encode(before), 200, media_type="application/json")

    async def _show(self, asked: Asked[NoQuery, None]) -> CampaignView:
        return await self._own(asked)

    async def _progress(self, asked: Asked[NoQuery, None]) -> Progress:
        return await _done(self._service.progress((await self._own(asked)).id))

    async def _leads(self, asked: Asked[LeadsQuery, None]) -> LeadPage:
        query = asked.query
        state = query.state.value if query.state is not None else None
        campaign = (await self._own(asked)).id
        return await _done(self._service.leads(campaign, query.after, query.limit, state))

    async def _add(self, asked: Asked[NoQuery, NewLeads]) -> Added:
        it, campaign = asked.body, (await self._own(asked)).id
        return await _done(
            self._service.add(
                campaign, it.leads, first=it.first, skip_bad=it.skip_bad, repeats=it.repeats
            )
        )

    async def _start(self, asked: Asked[NoQuery, None]) -> CampaignView:
        return await _done(self._service.start((await self._own(asked)).id))

    async def _pause(self, asked: Asked[NoQuery, None]) -> CampaignView:
        return await _done(self._service.pause((await self._own(asked)).id))

    async def _resume(self, asked: Asked[NoQuery, None]) -> CampaignView:
        return await _done(self._service.resume((await self._own(asked)).id))

    async def _cancel(self, asked: Asked[NoQuery, None]) -> CampaignView:
        return await _done(self._service.cancel((await self._own(asked)).id))

    async def _own(self, asked: Asked[Any, Any]) -> CampaignView:
        """Return the campaign that is asked for. Raises `ProblemError`."""
        campaign = asked.path["id"]
        if "\x00" in campaign:
            raise ProblemError(404, "There is no such campaign.")
        found = await _done(self._service.get(campaign))
        if not asked.who.of(found.company):
            raise ProblemError(404, sentence(NoSuchCampaignError(campaign)))
        return found


async def _done(work: Awaitable[Result]) -> Result:
    try:
        return await work
    except NoSuchCampaignError as error:
        raise ProblemError(404, sentence(error)) from error
    except CampaignStateError as error:
        raise ProblemError(409, sentence(error), state=error.state) from error
    except BadLeadsError as error:
        refused = msgspec.to_builtins(error.refused[:PAGE])
        raise ProblemError(422, sentence(error), refused=refused) from error
    except CampaignError as error:
        raise ProblemError(409, sentence(error)) from error
    except DialError as error:
        raise dial_problem(error) from error


def _whose(company: int | None, who: Caller) -> int | None:
    if who.company is not None and company not in (None, who.company):
        raise ProblemError(403, f"This token is company {who.company}'s alone.")
    return who.company if who.company is not None else company


def _shown(
    path: str, handler: Handler, summary: str, answer: Any, query: type[Any] = NoQuery
) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        scope=Scope.READ,
        handler=handler,
        summary=summary,
        query=query,
        answer=answer,
        refusals=(404,),
    )


def _ordered(path: str, name: str, handler: Handler, summary: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=f"{path}/{name}",
        scope=Scope.CALLS,
        handler=handler,
        summary=summary,
        answer=CampaignView,
        refusals=(404, 409),
    )
