"""`python -m tests.spec`."""

import sys

from tests.spec.coverage import main

sys.exit(main())
