"""Tiny models of transformers, for the tests of the adapter."""
