"""What a template does to become fit to fork leaves the release's modules as they are."""

import random

from worker.template import self_seeded_generators


class Lazy:
    """As SDKs' lazy modules and proxies: being asked for its class changes its surroundings."""

    def __init__(self, surroundings: dict[str, object]) -> None:
        self._surroundings = surroundings

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        self._surroundings[f"loaded {len(self._surroundings)}"] = object()
        return Lazy


def test_looking_for_generators_loads_nothing_that_is_lazy() -> None:
    kept = random.Random(1)
    module: dict[str, object] = {"generator": kept}
    module["lazy"] = Lazy(module)
    module["last"] = None
    found = self_seeded_generators()
    assert list(module) == ["generator", "lazy", "last"]
    assert any(each is kept for each in found)
