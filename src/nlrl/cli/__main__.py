"""`python -m nlrl.cli`: the same as the `nlrl` script, for environments without it on the PATH."""

import sys

from nlrl.cli import main

sys.exit(main())
