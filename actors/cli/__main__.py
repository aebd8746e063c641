"""``python -m actors.cli`` is ``tcemu``."""

from __future__ import annotations

from actors.cli import main

main()
