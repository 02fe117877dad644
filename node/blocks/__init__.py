"""From consensus to the disk: final blocks are executed, stored, served and replayed.

Rule: durable first, visible after.
Spec: docs/spec/node.md. Deviations: none.
"""
