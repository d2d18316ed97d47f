"""``callfarm chat``: an agent in text, in the terminal: ``python -m worker.chat``.

The agent comes from the live folder, is isolated as in a template, and runs as in a call
(`worker.testing`); its model is its own. This package knows no gateway and no network.
"""
