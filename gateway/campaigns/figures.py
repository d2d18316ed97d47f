"""The campaigns' figures, for Prometheus. No campaign and no number is named in them."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.campaigns.service import Campaigns


class CampaignFigures(Collector):
    """What campaigns do now."""

    def __init__(self, campaigns: Campaigns) -> None:
        self._campaigns = campaigns

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        it = self._campaigns.statistics
        for name, what, value in (
            ("running", "Campaigns that call, or whose calls are followed.", it.running),
            ("calls", "Leads that are dialled or talked to.", it.calls),
            ("waiting", "Campaigns that wait for the database.", it.waiting),
        ):
            yield GaugeMetricFamily(f"callfarm_campaigns_{name}", what, value)
        what = "Whether this gateway is the one that dials for its database."
        yield GaugeMetricFamily("callfarm_dials", what, it.dials)
