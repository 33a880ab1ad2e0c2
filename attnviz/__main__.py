"""`python -m attnviz`."""

from __future__ import annotations

from attnviz.cli import main

if __name__ == "__main__":
    main()
