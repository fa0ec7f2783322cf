"""`python -m eigenfall`."""

import sys

from eigenfall.cli import main

sys.exit(main())
