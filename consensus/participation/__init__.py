"""Proof of Participation: who earned which score, seat and share of the fees."""
