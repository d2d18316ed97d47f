"""What the gateway measures of itself, in Prometheus' text format.

Figures are read when they are asked for; nothing is counted on the audio's way that is not
counted anyway.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from gateway.calls.measurements import Measurements
from gateway.calls.registry import Calls
from gateway.farm.farm import Farm

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _GatewayCollector(Collector):
    def __init__(self, calls: Calls, farm: Farm) -> None:
        self._calls, self._farm = calls, farm

    def collect(self) -> Iterator[Metric]:
        calls, farm = self._calls, self._farm
        yield GaugeMetricFamily("callfarm_calls", "Calls in progress.", len(calls))
        yield GaugeMetricFamily("callfarm_streams", "Calls with a stream.", calls.streaming)
        yield GaugeMetricFamily("callfarm_ready", "1 when a new call is taken.", int(farm.ready))
        yield CounterMetricFamily("callfarm_calls_accepted", "Calls accepted.", calls.accepted)
        yield CounterMetricFamily("callfarm_calls_refused", "Calls refused.", calls.refused)
        releases = GaugeMetricFamily(
            "callfarm_release_calls", "Call processes of a release.", labels=["release", "state"]
        )
        for release in farm.views():
            releases.add_metric([release.id, release.state], release.calls)
        yield releases
        yield from self._of_calls(calls.measurements)

    def _of_calls(self, measurements: Measurements) -> Iterator[Metric]:
        """Yield what the calls measure."""
        for name, what, histogram in (
            ("reply", "From the caller's last word until the agent is heard", measurements.reply),
            ("own", "The server's own share of a reply: without providers", measurements.own),
        ):
            yield HistogramMetricFamily(
                f"callfarm_{name}_seconds", f"{what}.", histogram.buckets, histogram.total
            )
        troubles = CounterMetricFamily(
            "callfarm_provider_troubles",
            "Providers given up in calls, and who took over.",
            labels=["provider", "fallback"],
        )
        for (provider, fallback), count in measurements.troubles.items():
            troubles.add_metric([provider, fallback], count)
        yield troubles
        measured = SummaryMetricFamily(
            "callfarm_agent", "What agents measured (call.metric).", labels=["name"]
        )
        for name, (count, total) in measurements.totals.items():
            measured.add_metric([name], count_value=count, sum_value=total)
        yield measured


class Metrics:
    """The gateway's figures. A registry of its own, so that several gateways fit one process."""

    def __init__(self, calls: Calls, farm: Farm) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_GatewayCollector(calls, farm))

    def text(self) -> bytes:
        """Return all figures as text."""
        return generate_latest(self._registry)
