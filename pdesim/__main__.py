"""The entry point of ``python -m pdesim`` and of the program ``pdesim``."""

import os
import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line. Ctrl-C during the import has the same effect as later."""
    try:
        from pdesim.cli.main import entry as start

        start()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        os._exit(130)
    except MemoryError:
        os.write(2, b"pdesim: there is not enough memory to start\n")
        os._exit(2)


if __name__ == "__main__":
    entry()
