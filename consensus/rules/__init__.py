"""The numbered rules of the protocol, one file each.

Rule: a rule reads and changes the Core; it calls another rule only down this list: enter, certify,
count, accuse, fetch; everything else is brought about by `Replica.settle`.
Spec: docs/spec/consensus.md. Deviations: none.
"""
