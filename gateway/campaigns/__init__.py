"""Campaigns: many people called, some at a time, each exactly as often as was asked.

Whom to dial when is decided without I/O (`states`, `policy`, `hours`, `pace`, `scheduler`). What
was decided is in the database before anybody's phone rings (`ledger`), so that a gateway which is
killed at any moment goes on where it was (`runner`).
"""
