"""The one value that participants of a call exchange (Ds16): immutable, addressed by a UUID."""

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

DataT = TypeVar("DataT")


@dataclass(frozen=True, slots=True)
class Message(Generic[DataT]):
    """A piece of one utterance.

    ``uuid`` names the utterance, ``data`` is text or μ-law audio, ``done`` says that it is the
    utterance's last piece (its data may then be empty).
    """

    uuid: UUID
    data: DataT
    done: bool = True
