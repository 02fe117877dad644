"""Run whole consensus networks in virtual time, one seed each, and check them after every step.

Rule: the seed decides everything; a failing seed printed once can be run again for ever.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""
