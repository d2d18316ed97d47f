"""The stores of `tests.gateway.store`, here too."""

from tests.gateway.store.conftest import database, pair, store

__all__ = ["database", "pair", "store"]
