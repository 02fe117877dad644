"""A new network out of the last final state of one that cannot go on.

Rule: everybody derives the same; nobody is believed.
Spec: docs/spec/node.md. Deviations: none.
"""
