"""``python -m fetchml_cli`` is ``ml``."""

from __future__ import annotations

import sys

from fetchml_cli.main import main

sys.exit(main())
