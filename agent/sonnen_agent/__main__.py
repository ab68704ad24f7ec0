"""`python -m sonnen_agent`."""

import sys

from sonnen_agent.cli import main

sys.exit(main())
