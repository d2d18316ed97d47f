"""Settings as they are shown: with the secrets of their URLs masked, and put back when saved again.

Whoever changes one setting reads all, and sends all: what is masked there means what was there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.store.company import CompanyError
from shared.urls import Unmasking, is_masked, masked


def shown(value: Any) -> Any:
    """Return a value of JSON with the secrets of all URLs in it masked."""
    match value:
        case str():
            return masked(value)
        case list():
            return [shown(each) for each in value]
        case dict():
            return {name: shown(each) for name, each in value.items()}
    return value


def kept(settings: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with what is masked as it was ``before``. Raises `CompanyError`."""
    return {
        name: _kept(name, value, Unmasking(_texts(before.get(name))))
        for name, value in settings.items()
    }


def _kept(name: str, value: Any, known: Unmasking) -> Any:
    match value:
        case str():
            whole = known.restored(value)
            if is_masked(whole):
                raise CompanyError(
                    f"settings.{name}: **** is shown for a secret; write the secret, or leave the "
                    "URL as it is shown"
                )
            return whole
        case list():
            return [_kept(name, each, known) for each in value]
        case dict():
            return {key: _kept(name, each, known) for key, each in value.items()}
    return value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for each in value.values():
                yield from _texts(each)
