"""``python -m gateway``: the ``callfarm`` command."""

from gateway.cli import main

if __name__ == "__main__":
    main()
