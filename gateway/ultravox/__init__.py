"""What Ultravox keeps of callers who were joined straight to it, and what else it is asked.

The gateway is a client of its REST API here, with keys of its own; no call is made or heard here.
"""
