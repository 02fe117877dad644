"""Break the contracts on purpose, one place at a time, and see whether a test notices.

Rule: a mutant that no test kills is either a missing test or is listed with the reason in
survivors.json.
Spec: docs/explanation/audit.md
Deviations: none
"""
