"""Companies: what is secret goes in encrypted, and comes out for those alone who use it."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest
from sqlalchemy import insert, select, text, update

from gateway.store.companies import Companies, NoCompanyError
from gateway.store.company import CompanyChange, CompanyError
from gateway.store.rotation import rotate
from gateway.store.secrets import SecretError, Secrets
from gateway.store.store import Store, StoreError
from gateway.store.tables import attempts, deliveries
from gateway.store.tables import companies as table

ACCOUNT = "AC" + "1" * 32
OTHER = "AC" + "2" * 32
SECRETS = Secrets(["a key"])


def acme() -> CompanyChange:
    return CompanyChange(
        name="Acme",
        account_sid=ACCOUNT,
        auth_token="their-token",
        phone_number="+1 555 123-4567",
        speech_key="voice-key",
        voice="Mark",
        settings={"dial_deny": ["+1900"]},
        secrets={"events": "shhh"},
    )


async def test_a_company_is_told_of_without_its_secrets(store: Store) -> None:
    companies = Companies(store, SECRETS)
    made = await companies.create(acme())
    assert (made.id, made.name, made.phone_number) == (1, "Acme", "+15551234567")
    assert (made.has_auth_token, made.has_speech_key) == (True, True)
    assert made.secret_names == ("events",)
    assert made.settings == {"dial_deny": ["+1900"]}
    assert await companies.list() == [made]
    for secret in ("their-token", "voice-key", "shhh"):
        assert secret not in repr(made)


async def test_no_secret_is_in_the_database_in_clear(store: Store) -> None:
    await Companies(store, SECRETS).create(acme())
    kept = str(await store.rows(select(table)))
    assert "Acme" in kept
    for secret in ("their-token", "voice-key", "shhh"):
        assert secret not in kept


async def test_those_who_use_a_secret_get_it(store: Store) -> None:
    companies = Companies(store, SECRETS)
    await companies.create(acme(), company_id=7)
    account = await companies.account(7)
    assert account is not None
    assert (account.sid, account.token) == (ACCOUNT, "their-token")
    assert "their-token" not in repr(account)
    speech = await companies.speech(7)
    assert (speech.key, speech.voice, speech.model) == ("voice-key", "Mark", None)
    assert "voice-key" not in repr(speech)
    assert await companies.secret(7, "events") == "shhh"
    assert await companies.secret(7, "other") is None


async def test_webhooks_are_checked_with_the_tokens_of_their_account(store: Store) -> None:
    companies = Companies(store, SECRETS, own_tokens=("ours",))
    first = await companies.create(acme())
    assert companies.tokens_for(ACCOUNT) == ("ours", "their-token")
    assert companies.tokens_for(OTHER) == ("ours",)
    assert companies.tokens_for("") == ("ours",)
    # While a token is being rotated, two companies of one account may have one each.
    await companies.create(CompanyChange(name="B", account_sid=ACCOUNT, auth_token="newer"))
    assert companies.tokens_for(ACCOUNT) == ("ours", "their-token", "newer")
    await companies.change(first.id, CompanyChange(auth_token=None))
    assert companies.tokens_for(ACCOUNT) == ("ours", "newer")
    again = Companies(store, SECRETS, own_tokens=("ours",))
    await again.load()
    assert again.tokens_for(ACCOUNT) == ("ours", "newer")
    await companies.remove(2)
    assert companies.tokens_for(ACCOUNT) == ("ours",)


async def test_a_call_is_of_the_company_whose_number_or_whose_account_alone_it_is(
    store: Store,
) -> None:
    companies = Companies(store, SECRETS)
    for number in (1, 2):
        await companies.create(
            CompanyChange(name="x", account_sid=ACCOUNT, phone_number=f"+1555000000{number}")
        )
    await companies.create(CompanyChange(name="x", account_sid=OTHER, phone_number="+15550000003"))
    await companies.create(CompanyChange(name="ours", phone_number="+15550000004"))
    assert companies.company_of(ACCOUNT, "+15550000002") == 2
    assert companies.company_of(ACCOUNT, "+15550000009") is None
    assert companies.company_of(OTHER, "+15550000009") == 3
    assert companies.company_of(OTHER, "+15550000004") == 3, (
        "another account's number is not theirs"
    )
    assert companies.company_of("AC" + "3" * 32, "+15550000004") == 4
    assert companies.company_of("AC" + "3" * 32, "+15550000009") is None


async def test_a_change_leaves_alone_what_it_does_not_name(store: Store) -> None:
    companies = Companies(store, SECRETS)
    made = await companies.create(acme())
    changed = await companies.change(
        made.id, CompanyChange(voice=None, secrets={"events": None, "other": "x"})
    )
    assert (changed.name, changed.voice, changed.has_auth_token) == ("Acme", None, True)
    assert changed.secret_names == ("other",)
    assert await companies.change(made.id, CompanyChange()) == changed


@pytest.mark.parametrize(
    "change",
    [
        CompanyChange(name="  "),
        CompanyChange(account_sid="AC1"),
        CompanyChange(phone_number="555"),
        CompanyChange(region="IE 1"),
        CompanyChange(speech_url="ftp://x"),
        CompanyChange(settings={"x": "y" * 70_000}),
        CompanyChange(first_speaker="x" * 33),
    ],
)
async def test_what_no_company_can_have_is_refused(store: Store, change: CompanyChange) -> None:
    companies = Companies(store, SECRETS)
    made = await companies.create(acme())
    with pytest.raises(CompanyError):
        await companies.change(made.id, change)
    assert await companies.get(made.id) == made


async def test_a_company_that_is_not_there(store: Store) -> None:
    companies = Companies(store, SECRETS)
    with pytest.raises(NoCompanyError):
        await companies.get(1)
    with pytest.raises(NoCompanyError):
        await companies.change(1, CompanyChange(voice="Mark"))
    with pytest.raises(NoCompanyError):
        await companies.remove(1)
    with pytest.raises(CompanyError, match="needs a name"):
        await companies.create(CompanyChange(voice="Mark"))
    await companies.create(acme(), company_id=5)
    with pytest.raises(CompanyError, match="already"):
        await companies.create(acme(), company_id=5)
    assert (await companies.create(CompanyChange(name="Next"))).id == 6


async def test_rotation_leaves_every_secret_readable_with_the_new_key_alone(store: Store) -> None:
    await Companies(store, Secrets(["old"])).create(acme())
    both = Secrets(["new", "old"])
    assert await rotate(store, both) == 3
    account = await Companies(store, Secrets(["new"])).account(1)
    assert account is not None
    assert account.token == "their-token"
    with pytest.raises(SecretError):
        await Companies(store, Secrets(["old"])).account(1)


async def test_with_another_key_calls_of_that_company_are_refused_and_the_others_taken(
    store: Store,
) -> None:
    await Companies(store, Secrets(["old"])).create(acme())
    companies = Companies(store, Secrets(["new"]), own_tokens=("ours",))
    await companies.create(CompanyChange(name="B", account_sid=OTHER, auth_token="b"))
    assert companies.tokens_for(ACCOUNT) == ("ours",)
    assert companies.tokens_for(OTHER) == ("ours", "b")
    with pytest.raises(SecretError, match="SECRET_KEY"):
        await companies.account(1)
    with pytest.raises(SecretError):
        await rotate(store, Secrets(["new"]))
    kept = await store.rows(text("SELECT auth_token FROM companies WHERE id = 1"))
    assert Secrets(["old"]).shown(kept[0]["auth_token"]) == "their-token"


async def test_what_one_left_behind_of_any_kind_comes_to_be_no_others(store: Store) -> None:
    companies, now = Companies(store, SECRETS), time.time()
    await companies.create(acme())
    left = (
        insert(attempts).values(id="a", company_id=2, phone="+1", state="failed", created=now),
        insert(deliveries).values(
            id="d", company_id=3, event="x", url="x", body=b"{}", state="failed", created=now
        ),
    )
    for company, statement in enumerate(left, 2):
        await store.commit(statement)
        assert (await companies.create(acme())).id == company + 1


async def test_secrets_that_cannot_be_read_are_not_lost_when_another_is_changed(
    store: Store,
) -> None:
    await Companies(store, Secrets(["old"])).create(acme())
    locked = Companies(store, Secrets(["new"]))
    with pytest.raises(CompanyError, match="SECRET_KEY"):
        await locked.change(1, CompanyChange(secrets={"other": "x"}))
    await locked.change(1, CompanyChange(voice="Jessica"))
    assert await Companies(store, Secrets(["old"])).secret(1, "events") == "shhh"
    await locked.change(1, CompanyChange(secrets=None))
    await locked.change(1, CompanyChange(secrets={"events": "anew"}))
    assert await locked.secret(1, "events") == "anew"


async def test_two_who_change_secrets_at_once_both_have_their_way(store: Store) -> None:
    companies = Companies(store, SECRETS)
    await companies.create(acme())
    names = [f"name-{number}" for number in range(8)]
    await asyncio.gather(
        *(companies.change(1, CompanyChange(secrets={name: name})) for name in names)
    )
    assert (await companies.get(1)).secret_names == tuple(sorted(["events", *names]))


class SlowSecrets(Secrets):
    """Shows nothing before it may."""

    def __init__(self) -> None:
        super().__init__(["a key"])
        self.may = threading.Event()
        self.may.set()

    def shown(self, hidden: str) -> str:
        assert self.may.wait(10)
        return super().shown(hidden)


async def test_what_is_known_of_all_is_what_was_saved_last(store: Store) -> None:
    secrets = SlowSecrets()
    companies = Companies(store, secrets)
    await companies.create(acme())
    secrets.may.clear()
    slow = asyncio.create_task(companies.load())
    await asyncio.sleep(0.05)
    changing = asyncio.create_task(companies.change(1, CompanyChange(auth_token="newer")))
    await asyncio.sleep(0.05)
    secrets.may.set()
    await asyncio.gather(slow, changing)
    assert companies.tokens_for(ACCOUNT) == ("newer",)


async def test_who_is_known_is_known_with_all_that_holds_for_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Companies(store, SECRETS).create(acme())
    companies, asked = Companies(store, SECRETS), 0
    rows = store.rows

    async def away(question: object) -> object:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise StoreError("it is gone", away=True)
        return await rows(question)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "rows", away)
    with suppress(StoreError):
        await companies.load()
    assert companies.tokens_for(ACCOUNT)
    assert companies.lists_of(1) == ((), ("+1900",))
    assert companies.voice_of(1) is not None


async def test_a_secret_that_is_changed_while_others_rotate_holds_up_none_of_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Companies(store, Secrets(["old"])).create(acme())
    both, commit = Secrets(["new", "old"]), store.commit

    async def later(*statements: object) -> int:
        await commit(update(table).values(speech_key=both.hidden("newer")))
        return await commit(*statements)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", later)
    assert await rotate(store, both) == 3
    monkeypatch.undo()
    companies = Companies(store, Secrets(["new"]))
    account = await companies.account(1)
    assert account is not None
    assert account.token == "their-token"
    assert (await companies.speech(1)).key == "newer"
    assert await companies.secret(1, "events") == "shhh"
