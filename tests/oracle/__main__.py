"""`python -m tests.oracle`."""

import sys

from tests.oracle.soak import main

sys.exit(main())
