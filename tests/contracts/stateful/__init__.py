"""Random interleavings of everything that can be done to the contracts, against a model."""
