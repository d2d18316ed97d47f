"""Releases: what is live, deploys, rollbacks."""

from collections.abc import Awaitable

import msgspec

from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError
from gateway.farm.farm import DeployError, Farm
from gateway.farm.release import ReleaseView


class Rollback(msgspec.Struct, forbid_unknown_fields=True):
    """To which release; without one, to the one before."""

    release: str | None = None


class Releases(msgspec.Struct):
    """The releases that the gateway knows."""

    releases: list[ReleaseView]


class ReleasesSection:
    """The farm's releases."""

    tag = "releases"

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="GET",
                path="/api/releases",
                scope=Scope.READ,
                handler=self._list,
                summary="List the releases.",
                answer=Releases,
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path="/api/releases",
                scope=Scope.ADMIN,
                handler=self._deploy,
                summary="Deploy the agents folder as it is now.",
                answer=ReleaseView,
                refusals=(422,),
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path="/api/releases/rollback",
                scope=Scope.ADMIN,
                handler=self._rollback,
                summary="Go back to the release before, or to the one that is named.",
                body=Rollback,
                body_optional=True,
                answer=ReleaseView,
                refusals=(422,),
                whole_farm=True,
            ),
        ]

    async def _list(self, asked: Asked[NoQuery, None]) -> Releases:
        return Releases(self._farm.views())

    async def _deploy(self, asked: Asked[NoQuery, None]) -> ReleaseView:
        return await _deployed(self._farm.deploy())

    async def _rollback(self, asked: Asked[NoQuery, Rollback]) -> ReleaseView:
        return await _deployed(self._farm.rollback(asked.body.release))


async def _deployed(work: Awaitable[ReleaseView]) -> ReleaseView:
    try:
        return await work
    except DeployError as error:
        raise ProblemError(422, error.reason, report=error.report, release=error.release) from error
