"""Warm transfers, the human's half: who is called, what they are told, and what they answer."""
