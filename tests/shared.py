"""Where recorded usage and collected pricing cases lie: beside the repository, or in USAGE_SHARED.

They are other people's data and no part of this repository. Tests that need them take the
fixture `shared_data`, and are left out, with a word about it, where the folder is missing.
"""

import os
from pathlib import Path

SHARED = Path(os.environ.get("USAGE_SHARED") or Path(__file__).resolve().parents[2] / "shared")
