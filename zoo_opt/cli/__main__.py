"""``python -m zoo_opt.cli``: the command line without its installed script."""

import sys

from zoo_opt.cli import main

sys.exit(main())
