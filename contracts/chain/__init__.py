"""A small EVM chain for devnets and tests, served over JSON-RPC.

Rule: nothing in here is part of a node; a node meets this chain only through its URL.

Spec: docs/spec/settlement.md §12
Deviations: one honest block producer, no peers, no re-organisations.
"""
