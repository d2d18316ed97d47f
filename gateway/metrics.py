"""What the gateway measures of itself, in Prometheus' text format.

Figures are read when they are asked for; nothing is counted on the audio's way that is not
counted anyway.
"""

from collections.abc import Iterable, Iterator

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
from gateway.store.store import Store, StoreStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _GatewayCollector(Collector):
    def __init__(self, calls: Calls, farm: Farm, store: Store | None) -> None:
        self._calls, self._farm, self._store = calls, farm, store

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
        if self._store is not None:
            yield from _of_records(self._store.statistics)

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


def _of_records(records: StoreStatistics) -> Iterator[Metric]:
    """Yield where the records are on their way to the database."""
    writer = records.writer
    for name, what, value in (
        ("waiting", "Changes in memory, not written yet.", writer.waiting),
        ("waiting_bytes", "Their size.", writer.waiting_bytes),
        (
            "journal_bytes",
            "Changes in the journal, while the database is away.",
            writer.journal_bytes,
        ),
        ("troubled", "1 while the database does not take records.", int(writer.troubled)),
    ):
        yield GaugeMetricFamily(f"callfarm_records_{name}", what, value)
    for name, what, value in (
        ("written", "Changes written to the database.", writer.written),
        ("lost", "Changes lost: neither database nor journal took them.", writer.dropped),
        ("refused", "Changes set aside: no database would take them.", records.refused),
    ):
        yield CounterMetricFamily(f"callfarm_records_{name}", what, value)


class Metrics:
    """The gateway's figures. A registry of its own, so that several gateways fit one process."""

    def __init__(
        self,
        calls: Calls,
        farm: Farm,
        store: Store | None = None,
        others: Iterable[Collector] = (),
    ) -> None:
        """``others`` are the figures of further parts."""
        self._registry = CollectorRegistry()
        for other in others:
            self._registry.register(other)
        self._registry.register(_GatewayCollector(calls, farm, store))

    def text(self) -> bytes:
        """Return all figures as text."""
        return generate_latest(self._registry)
