"""Calls that callfarm starts itself: who may be called, and how a call is placed, once.

It refuses to know any carrier's fields: what is asked of a carrier is `gateway.carriers.placing`.
"""
