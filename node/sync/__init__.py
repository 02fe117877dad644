"""State sync: fetch a certified state instead of replaying the chain.

Rule: nobody is believed; every step is checked against a certificate.
Spec: docs/spec/node.md. Deviations: none.
"""
