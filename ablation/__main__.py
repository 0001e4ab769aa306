"""`python -m ablation` is the command `ablate`."""

import sys

from ablation.cli import main

sys.exit(main())
