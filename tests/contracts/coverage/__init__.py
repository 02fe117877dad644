"""Which lines and branches of the contracts the tests execute.

Rule: the tests decide nothing here; they only run while an EVM is watched.
Spec: none
Deviations: none
"""
