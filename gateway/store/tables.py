"""The tables, as SQLAlchemy knows them: one schema for SQLite and for PostgreSQL.

Times are Unix seconds (UTC, float), durations seconds or ms as their name says, numbers E.164.
Keys are made by us and not by the database, so that every write can be repeated without harm.
What is secret is encrypted before it gets here (`gateway.store.secrets`).

What a column's ``info`` says: ``encrypted``, so that rotation finds it; ``first``, that the first
value it is given stays, whatever a later record says. A table's: ``same``, that a record which
names another value there changes nothing of the row; ``final``, that no record changes a row of
these values any more, only a decision does.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

companies = Table(
    "companies",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("created", Float, nullable=False),
    # The carrier's account.
    Column("account_sid", String(64), index=True),
    Column("auth_token", Text, info={"encrypted": True}),
    Column("phone_number", String(32)),
    Column("region", String(16)),
    Column("edge", String(32)),
    Column("caller_id", String(32)),
    Column("default_destination", String(32)),
    # Speech.
    Column("speech_key", Text, info={"encrypted": True}),
    Column("speech_url", Text),
    Column("system_prompt", Text),
    Column("model", Text),
    Column("voice", Text),
    Column("first_speaker", String(32)),
    Column("agent", Text),
    Column("settings", JSON, nullable=False, default=dict),
    Column("secrets", Text, info={"encrypted": True}),  # JSON: others' secrets, by name
)

calls = Table(
    "calls",
    metadata,
    Column("sid", String(64), primary_key=True),
    Column("company_id", Integer),
    Column("account_sid", String(64)),
    Column("campaign_id", String(40)),
    Column("lead", Integer),
    Column("direction", String(32)),
    Column("from_number", String(64)),
    Column("to_number", String(64)),
    Column("agent", Text),
    Column("release", String(64)),
    Column("state", String(16)),
    Column("status", String(16)),  # the carrier's last word
    Column("reason", Text),
    Column("outcome", Text),
    Column("began", Float, nullable=False, info={"first": True}),
    Column("answered", Float, info={"first": True}),
    Column("ended", Float),
    Column("conversation_id", String(128), index=True),
    Column("answered_by", String(32)),
    Column("transferred_to", String(64)),
    Column("error_code", Integer),
    Column("exit", Text),
    Column("cpu_seconds", Float),
    Column("agent_state", JSON),
    Column("troubles", JSON),
    Column("gateway", String(40)),  # that has it, or had it last
    # A page of the newest calls, of all or of those that are alike in one thing, is read off the
    # end of an index: it takes the same time however many there are.
    Index("ix_calls_began_sid", "began", "sid"),
    Index("ix_calls_direction_began_sid", "direction", "began", "sid"),
    Index("ix_calls_from_number_began_sid", "from_number", "began", "sid"),
    Index("ix_calls_to_number_began_sid", "to_number", "began", "sid"),
    Index("ix_calls_agent_began_sid", "agent", "began", "sid"),
    Index("ix_calls_state_began_sid", "state", "began", "sid"),
    Index("ix_calls_outcome_began_sid", "outcome", "began", "sid"),
    Index("ix_calls_company_id_began_sid", "company_id", "began", "sid"),
    Index("ix_calls_campaign_id_began_sid", "campaign_id", "began", "sid"),
    Index("ix_calls_campaign_id_lead", "campaign_id", "lead"),
    info={"same": ("account_sid",)},
)

lines = Table(
    "lines",
    metadata,
    Column("call_sid", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("at_ms", Float),
    Column("reply_ms", Float),
    Column("interrupted", Boolean, nullable=False, default=False),
)

turns = Table(
    "turns",
    metadata,
    Column("call_sid", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stages", JSON, nullable=False),
    Column("reply_ms", Float),
    Column("own_ms", Float),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("call_sid", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("arguments", Text),
    Column("outcome", String(16), nullable=False),
    Column("text", Text),
    Column("seconds", Float),
    Column("at_ms", Float),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(64), primary_key=True),  # ours: the call's sid; the carrier's: RE…
    Column("call_sid", String(64), nullable=False, index=True, info={"first": True}),
    Column("kind", String(16), nullable=False),  # own | carrier
    Column("status", String(16), nullable=False),
    Column("path", Text),
    Column("url", Text),
    Column("seconds", Float),
    Column("size", Integer),
    Column("created", Float, nullable=False, info={"first": True}),
    Column("gateway", String(40)),  # on whose disk the file is
    Index("ix_recordings_kind_status_created", "kind", "status", "created"),
    info={"final": {"kind": "carrier", "status": "deleted"}},
)

carrier_lines = Table(  # what the carrier's own transcription has heard
    "carrier_lines",
    metadata,
    Column("id", String(128), primary_key=True),  # the carrier's, so that a repeat is the same
    Column("call_sid", String(64), nullable=False, index=True),
    Column("track", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("confidence", Float),
    Column("at", Float, nullable=False, info={"first": True}),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("company_id", Integer, index=True),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("why", Text),
    Column("settings", JSON, nullable=False),
    Column("total", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
)

leads = Table(
    "leads",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaigns.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("phone", String(64), nullable=False),
    Column("variables", JSON, nullable=False, default=dict),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float),
    Column("outcome", Text),
    Column("error", Text),
    Column("call_sid", String(64)),
    Column("attempt_id", String(40)),  # the attempt of now, or the last one
    Index("ix_leads_campaign_id_state_next_at", "campaign_id", "state", "next_at", "number"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("campaign_id", String(40)),
    Column("lead", Integer),
    Column("company_id", Integer),
    Column("phone", String(64), nullable=False),
    Column("from_number", String(64)),
    Column("account_sid", String(64)),  # the carrier's account that was asked
    Column("state", String(16), nullable=False, index=True),
    Column("call_sid", String(64), index=True),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Column("status", String(16)),
    Column("error", Text),
    Column("answered_by", String(32)),
    Column("plan", JSON),  # how the call is to go: agent, variables, machine, seconds
    Index("ix_attempts_campaign_id_lead", "campaign_id", "lead"),
    Index("ix_attempts_phone_created", "phone", "created"),
)

do_not_call = Table(
    "do_not_call",
    metadata,
    Column("company_id", Integer, primary_key=True, autoincrement=False),  # 0: everybody's
    Column("phone", String(64), primary_key=True),
    Column("reason", Text),
    Column("created", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("call_sid", String(64), index=True),
    Column("company_id", Integer),
    Column("event", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("lane", String(32)),  # of one address, so that each can be asked for by itself
    Column("shape", String(16)),
    Column("state", String(16), nullable=False),  # held | waiting | delivered | failed
    Column("tries", Integer, nullable=False, default=0),
    Column("tries_before", Integer, nullable=False, default=0),  # the last redelivery
    Column("next_at", Float),
    Column("expires", Float),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Column("gateway", String(40)),  # that is to bring it
    Index("ix_deliveries_created_id", "created", "id"),
    Index("ix_deliveries_state_created_id", "state", "created", "id"),
    Index("ix_deliveries_lane_state_next_at", "lane", "state", "next_at"),
)

delivery_tries = Table(
    "delivery_tries",
    metadata,
    Column("delivery_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("ms", Float),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("company_id", Integer),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("body", JSON, nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float),
)

gateways = Table(  # that share this database
    "gateways",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("host", String(64)),
    Column("seen", Float, nullable=False),  # the last time that it was heard of
)
