"""Fetching a call's documents: each request and what is wrong with its answer is noted."""

from phone.document import Fetch
from phone.events import Noticed, WebhookAnswered, WebhookFailed
from phone.plant import Plant
from phone.problem import Problem
from phone.twiml import Document, TwimlError, read_document
from phone.webhooks import WebhookError


class Documents:
    """Fetches for one call."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    async def get(self, fetch: Fetch, status: str = "in-progress") -> Document | Problem:
        """Return a document, or why there is none. ``status`` is the call's."""
        plant, journal = self._plant, self._plant.journal
        fields = plant.identity.standard(status) | dict(fetch.parameters)
        try:
            answer = await plant.webhooks.send(fetch.url, fetch.method, fields)
            journal.note(
                WebhookAnswered(
                    at_ms=journal.now_ms(),
                    url=fetch.url,
                    method=fetch.method,
                    status=answer.status,
                    took_ms=answer.took_ms,
                    attempts=answer.attempts,
                )
            )
            document = read_document(answer.content_type, answer.body, answer.url)
        except (WebhookError, TwimlError) as error:
            journal.note(
                WebhookFailed(at_ms=journal.now_ms(), url=fetch.url, problem=error.problem)
            )
            return error.problem
        for problem in document.problems:
            journal.note(Noticed(at_ms=journal.now_ms(), problem=problem))
        return document
