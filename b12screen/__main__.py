"""`python -m b12screen` is the command `b12screen`."""

import sys

from b12screen.cli import main

if __name__ == "__main__":
    sys.exit(main())
