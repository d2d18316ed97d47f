"""The dialer of a gateway, made of its settings."""

from pathlib import Path

from sqlalchemy import URL

from gateway.carriers.placing import CallPlacing
from gateway.carriers.twilio.account import rest_of
from gateway.dialer.advisory_lock import AdvisoryLock
from gateway.dialer.agent_choice import Agents
from gateway.dialer.companies import StoredCompanies
from gateway.dialer.dialer import Dialer, DialRules
from gateway.dialer.file_lock import FileLock
from gateway.dialer.follow_times import FollowTimes
from gateway.dialer.holder import Holder
from gateway.dialer.lines import CompanyAccount, Lines, OperatorLine
from gateway.dialer.numbers import NumberRules
from gateway.dialer.right import Lock, Right
from gateway.store.companies import Companies
from gateway.store.store import Store
from shared.settings import Settings


def number_rules(settings: Settings) -> NumberRules:
    """Return what the operator says of numbers."""
    return NumberRules(settings.dial_region, settings.dial_allow, settings.dial_deny)


def make_dialer(
    settings: Settings,
    store: Store,
    companies: Companies,
    agents: Agents,
    control: CallPlacing | None,
) -> Dialer:
    """Return a dialer. ``control`` is the REST of the operator's own account."""
    rules, rate = number_rules(settings), settings.dial_calls_per_second
    operator = OperatorLine(
        control, settings.twilio_phone_number, rules, rate, settings.twilio_account_sid
    )

    def connect(it: CompanyAccount) -> CallPlacing:
        assert it.account_sid is not None
        assert it.auth_token is not None
        base_url = str(settings.twilio_base_url) if settings.twilio_base_url else None
        return rest_of(it.account_sid, it.auth_token, it.region, it.edge, base_url)

    give_up = settings.dial_doubt_seconds
    return Dialer(
        store,
        Lines(operator, StoredCompanies(store, companies), connect),
        agents,
        DialRules(
            str(settings.public_url) if settings.public_url else None,
            int(settings.dial_ring_seconds),
            int(settings.max_call_seconds),
        ),
        FollowTimes(first_look=min(8, give_up / 4), again=min(10, give_up / 4), give_up=give_up),
        right=Right(lock_of(store.url), Holder.of(settings.data_dir)),
    )


def lock_of(url: URL) -> Lock:
    """Return what the gateways of a database have one at a time."""
    if url.get_backend_name() == "sqlite":
        return FileLock(Path(url.database or ""))
    return AdvisoryLock(url)
