"""What the ledger and the store look like to users of the API.

Rule: read only.
Spec: docs/spec/node.md. Deviations: none.
"""
