"""The doctor asks the database, and makes none."""

import asyncio

from gateway.doctor.database import check_database
from gateway.doctor.finding import Status
from gateway.store.engine import open_store
from shared.settings import Settings
from tests.gateway.doctor.conftest import Seen


def _with(settings: Settings, url: str) -> Settings:
    return Settings.model_validate({"data_dir": settings.data_dir, "database_url": url})


def test_one_that_is_not_made_yet_is_fine_and_stays_so(sound: Settings) -> None:
    seen = Seen(check_database(sound))
    assert (seen.worst, "will be made" in seen.text) == (Status.OK, True)
    assert list(sound.data_dir.iterdir()) == []


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
