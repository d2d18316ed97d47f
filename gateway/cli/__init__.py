"""The command line. Each command's own module is imported only when it runs."""

from gateway.cli.app import main

__all__ = ["main"]
