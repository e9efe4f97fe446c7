"""``python -m pdesim``, and the program ``pdesim``."""

import os
import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line; Ctrl-C while it is being imported ends it as later on."""
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
