"""Who validates: epochs, seats to come, where validators live, signs of life.

Rule: the chain decides; this only follows and announces.
Spec: docs/spec/node.md. Deviations: none.
"""
