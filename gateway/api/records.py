"""The records as such: where they are, taking old ones away, encrypting secrets anew."""

import time
from typing import Annotated

import msgspec

from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError
from gateway.archive import Archive
from gateway.store.retention import DAY_SECONDS, Pruned, count_older, prune
from gateway.store.rotation import rotate
from gateway.store.secrets import SecretError
from gateway.store.store import StoreStatistics


class Prune(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Calls that began more than ``older_than_days`` ago go; with ``dry_run`` they are counted."""

    older_than_days: Annotated[float, msgspec.Meta(ge=0, le=100_000)]
    dry_run: bool = False


class Rotated(msgspec.Struct):
    """How many secrets are encrypted with the first key of ``SECRET_KEY`` now."""

    secrets: int


class RecordsSection:
    """The operator's business with the store."""

    tag = "records"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="GET",
                path="/api/records",
                scope=Scope.ADMIN,
                handler=self._show,
                summary="Tell where the records are on their way to the database.",
                answer=StoreStatistics,
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path="/api/records/prune",
                scope=Scope.ADMIN,
                handler=self._prune,
                summary="Take away old calls, with transcripts, recordings and deliveries.",
                body=Prune,
                answer=Pruned,
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path="/api/records/rotate",
                scope=Scope.ADMIN,
                handler=self._rotate,
                summary="Encrypt all secrets anew with the first key of SECRET_KEY.",
                answer=Rotated,
                refusals=(409,),
                whole_farm=True,
            ),
        ]

    async def _show(self, asked: Asked[NoQuery, None]) -> StoreStatistics:
        return self._archive.store.statistics

    async def _prune(self, asked: Asked[NoQuery, Prune]) -> Pruned:
        before = time.time() - asked.body.older_than_days * DAY_SECONDS
        it = self._archive
        if asked.body.dry_run:
            return await count_older(it.store, before, it.needed())
        return await prune(it.store, before, it.data_dir, it.needed())

    async def _rotate(self, asked: Asked[NoQuery, None]) -> Rotated:
        try:
            count = await rotate(self._archive.store, self._archive.secrets)
        except SecretError as error:
            text = str(error)
            raise ProblemError(409, f"{text[:1].upper()}{text[1:]}.") from error
        await self._archive.companies.load()
        return Rotated(count)
