"""``python -m eastwest_discovery COMMAND``."""

import sys

from ._command import main

sys.exit(main())
