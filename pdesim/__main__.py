"""``python -m pdesim``."""

from pdesim.cli import entry

if __name__ == "__main__":
    entry()
