"""``python -m zoo_opt_seg.cli``: the command line without its installed script."""

import sys

from zoo_opt_seg.cli import main

sys.exit(main())
