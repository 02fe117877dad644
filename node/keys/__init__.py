"""Keys and what they have signed.

Rule: nothing here knows of blocks or networks beyond bytes and heights.
Spec: docs/spec/node.md. Deviations: none.
"""
