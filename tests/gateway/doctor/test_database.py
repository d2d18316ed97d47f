"""The doctor asks the database, and makes none."""

import asyncio

from gateway.doctor.database import check_database
from gateway.doctor.finding import Status
from gateway.store.companies import Companies
from gateway.store.company import CompanyChange
from gateway.store.engine import open_store
from gateway.store.secrets import Secrets
from shared.local_secrets import SECRET_KEY_FILE
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def _with(settings: Settings, url: str) -> Settings:
    return Settings.model_validate({"data_dir": settings.data_dir, "database_url": url})


def test_one_that_is_not_made_yet_is_fine_and_stays_so(sound: Settings) -> None:
    seen = Seen(check_database(sound))
    assert (seen.worst, "will be made" in seen.text) == (Status.OK, True)
    assert list(sound.data_dir.iterdir()) == []


def _company(settings: Settings) -> None:
    async def make() -> None:
        store = await open_store(None, settings.data_dir)
        companies = Companies(store, Secrets.of(settings))
        await companies.create(CompanyChange(name="Acme", speech_key="theirs"))
        await store.aclose()

    asyncio.run(make())


def test_secrets_that_can_be_read_are_fine(sound: Settings) -> None:
    _company(sound)
    seen = Seen(check_database(sound))
    assert (seen.worst, "of 1 companies can be read" in seen.text) == (Status.OK, True)


def test_secrets_of_another_key_fail(sound: Settings) -> None:
    _company(sound)
    other = {"data_dir": sound.data_dir, "secret_key": "k" * 32}
    seen = Seen(check_database(Settings.model_validate(other)))
    assert (seen.worst, seen.all_have_fixes()) == (Status.FAIL, True)
    assert "cannot be read with this SECRET_KEY: 1" in seen.text
    assert "theirs" not in seen.text


def test_secrets_whose_key_is_gone_fail_and_no_other_key_is_made(sound: Settings) -> None:
    _company(sound)
    (sound.data_dir / SECRET_KEY_FILE).unlink()
    assert Seen(check_database(sound)).worst is Status.FAIL
    assert not (sound.data_dir / SECRET_KEY_FILE).exists()


def test_one_that_answers_is_fine(sound: Settings) -> None:
    async def make() -> None:
        await (await open_store(None, sound.data_dir)).aclose()

    asyncio.run(make())
    assert "callfarm.db answers" in Seen(check_database(sound)).text


def test_a_folder_that_is_not_there_fails(sound: Settings) -> None:
    seen = Seen(check_database(_with(sound, "sqlite:////no/such/folder/x.db")))
    assert (seen.worst, seen.all_have_fixes()) == (Status.FAIL, True)


def test_a_file_that_is_no_database_fails(sound: Settings) -> None:
    (sound.data_dir / "x.db").write_text("nothing of the kind, and long enough to tell " * 20)
    seen = Seen(check_database(_with(sound, f"sqlite:///{sound.data_dir}/x.db")))
    assert (seen.worst, "not a database" in seen.text) == (Status.FAIL, True)


def test_a_server_that_is_not_there_fails_without_the_password(sound: Settings) -> None:
    seen = Seen(check_database(_with(sound, "postgresql://me:h1dden@127.0.0.1:1/x")))
    assert (seen.worst, seen.all_have_fixes()) == (Status.FAIL, True)
    assert "me:***@127.0.0.1:1/x: the database is away" in seen.text
    assert "h1dden" not in seen.text
