"""The gateway's HTTP API. Its table of endpoints is in its sections, one a file."""

from gateway.api.api import Api, Parts
from gateway.api.problems import problem

__all__ = ["Api", "Parts", "problem"]
