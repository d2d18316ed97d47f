"""Companies: what is secret goes in encrypted, and comes out for those alone who use it."""

import pytest
from sqlalchemy import select, text

from gateway.store.companies import Companies, NoCompanyError, rotate
from gateway.store.company import CompanyChange, CompanyError
from gateway.store.secrets import SecretError, Secrets
from gateway.store.store import Store
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
