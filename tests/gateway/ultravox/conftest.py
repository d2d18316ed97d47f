"""The stores of `tests.gateway.store`, here too."""

from tests.gateway.store.conftest import database, store

__all__ = ["database", "store"]
