"""Let `python -m node.cli` be the command line.

Rule: the same as the `omnibazaar` script.
Spec: docs/reference/cli.md. Deviations: none.
"""

from node.cli import main

main()
