"""What the gateway tells others of its calls: events, by HTTP, at least once each.

    call, agent, campaign ──event──> outbox ──row──> store
                                        └──a lane for each address──> courier ──> n8n and friends

An event is written down before anybody is told of it, and is tried for a day. Whoever gets it
twice knows it by its ``Idempotency-Key``.
"""
