"""What the node does on the EVM chains: watch, attest, settle, relay, decide, escape.

Rule: no chain holds up consensus or another chain.
Spec: docs/spec/node.md. Deviations: none.
"""
