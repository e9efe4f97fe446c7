"""``python -m pdesim``."""

import sys

from pdesim.cli import main

sys.exit(main())
