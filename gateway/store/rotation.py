"""Every secret of the database under another key. It refuses to know whose secrets they are."""

from sqlalchemy import select

from gateway.store.secrets import Secrets
from gateway.store.store import Store
from gateway.store.tables import metadata


async def rotate(store: Store, secrets: Secrets) -> int:
    """Encrypt every secret anew with the first key; return how many.

    Raises ``SecretError`` when one can be read with none of the keys: then none is changed.
    """
    changes = []
    for table in metadata.sorted_tables:
        hidden = [column for column in table.columns if column.info.get("encrypted")]
        if not hidden:
            continue
        keys = list(table.primary_key)
        for row in await store.rows(select(*keys, *hidden)):
            here = [key == row[key.name] for key in keys]
            for column in hidden:
                if (old := row[column.name]) is None:
                    continue
                # One that was changed meanwhile is under the new key already.
                change = table.update().where(*here, column == old)
                changes.append(change.values({column: secrets.rotated(old)}))
    if changes:
        await store.commit(*changes)
    return len(changes)
