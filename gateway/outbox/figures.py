"""The outbox's figures, for Prometheus. No address and no call is named in them."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.outbox.outbox import Outbox


class OutboxFigures(Collector):
    """What has become of webhooks since the start."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        it = self._outbox.statistics
        for name, what, value in (
            ("posted", "Deliveries that were begun: one for each event and address.", it.posted),
            ("delivered", "Deliveries that were taken.", it.delivered),
            ("given_up", "Deliveries that were given up.", it.failed),
            ("tries", "Requests that were sent.", it.tries),
        ):
            yield CounterMetricFamily(f"callfarm_webhooks_{name}", what, value)
        for name, what, value in (
            ("sending", "Requests under way.", it.sending),
            ("resting", "Addresses that are left alone for a while.", it.resting),
        ):
            yield GaugeMetricFamily(f"callfarm_webhooks_{name}", what, value)
