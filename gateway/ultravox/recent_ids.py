"""The newest ids of calls that were told of: a bounded memory."""

from collections import OrderedDict

MOST = 1000


class RecentIds:
    """At most `MOST` of them."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, it: str) -> bool:
        return it in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, it: str) -> None:
        """Remember an id."""
        self._ids[it] = None
        if len(self._ids) > MOST:
            self._ids.popitem(last=False)

    def take(self, it: str) -> bool:
        """Forget an id; tell whether it was there."""
        return self._ids.pop(it, True) is None
