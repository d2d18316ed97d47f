"""Stores for tests of recordings: on SQLite always, on PostgreSQL where there is one."""

from tests.gateway.store.conftest import database, pair, store

__all__ = ["database", "pair", "store"]
