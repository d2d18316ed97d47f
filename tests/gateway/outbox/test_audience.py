import structlog

from gateway.outbox.audience import SECRET, Subscribers, listed, listening_of
from gateway.outbox.event import Endpoint, Shape
from gateway.store.companies import Companies
from gateway.store.company import CompanyChange
from gateway.store.secrets import Secrets
from gateway.store.store import Store

OWN = Endpoint("https://ours.example/x", None, ("k",))


async def test_a_companys_settings_say_who_is_told(store: Store) -> None:
    companies = Companies(store, Secrets(["key"]))
    made = await companies.create(
        CompanyChange(
            name="Vista",
            settings={
                "events_url": "https://a.example/1, https://a.example/2",
                "events": "call.ended",
                "first_message_url": "https://a.example/first",
            },
            secrets={SECRET: "new, old"},
        )
    )
    quiet = await companies.create(CompanyChange(name="Quiet"))
    subscribers = Subscribers([OWN], companies, own_secrets=("k",))
    assert list(subscribers.of(made.id)) == [OWN]
    await subscribers.load()
    own, *theirs = subscribers.of(made.id)
    assert own == OWN
    assert [it.url for it in theirs] == ["https://a.example/1", "https://a.example/2"]
    assert {it.owner for it in theirs} == {made.id}
    assert theirs[0].wants("call.ended")
    assert not theirs[0].wants("call.started")
    assert subscribers.secrets(made.id) == ("new", "old")
    assert subscribers.secrets(None) == ("k",)
    assert subscribers.first_message_url(made.id) == "https://a.example/first"
    assert list(subscribers.of(quiet.id)) == [OWN]
    assert subscribers.secrets(quiet.id) == ()
    await companies.remove(made.id)
    await subscribers.load()
    assert subscribers.secrets(made.id) is None


async def test_a_key_that_cannot_be_read_is_said(store: Store) -> None:
    change = CompanyChange(
        name="Vista", settings={"events_url": "https://a.example/1"}, secrets={SECRET: "k"}
    )
    made = await Companies(store, Secrets(["key"])).create(change)
    subscribers = Subscribers([], Companies(store, Secrets(["another"])))
    with structlog.testing.capture_logs() as logged:
        await subscribers.load()
    assert [(it["event"], it["company"]) for it in logged] == [
        ("a company's events are not signed", made.id)
    ]
    assert subscribers.secrets(made.id) == ()


def test_nonsense_in_a_companys_settings_is_not_said() -> None:
    for settings in (
        {"events_url": 7, "events": {"a": 1}, "events_format": "x", "first_message_url": None},
        {"events_url": [None, 3], "events_format": []},
        {},
    ):
        it = listening_of(7, settings, ())
        assert it.endpoints == ()
        assert it.first_message_url is None


def test_a_company_names_a_bounded_number_of_addresses() -> None:
    many = ",".join(f"https://a.example/{n}" for n in range(100))
    it = listening_of(7, {"events_url": many, "events_format": "voxflow"}, ())
    assert len(it.endpoints) == 5
    assert it.endpoints[0].shape is Shape.VOXFLOW


def test_a_list_is_written_with_commas_or_as_one() -> None:
    assert listed("a, b ,,c") == ("a", "b", "c")
    assert listed(["a ", "b"]) == ("a", "b")
    assert listed(None) == ()
