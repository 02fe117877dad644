"""The ledger of this node and what is derived from it, the same on every node.

Rule: a function of final blocks alone.
Spec: docs/spec/node.md. Deviations: none.
"""
