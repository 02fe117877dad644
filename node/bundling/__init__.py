"""Actions on their way into blocks: taken in, checked, bundled, spread, kept until they are in.

Rule: everything here is bounded, and nothing here executes.
Spec: docs/spec/node.md. Deviations: none.
"""
