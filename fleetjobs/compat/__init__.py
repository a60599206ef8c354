"""Compat: the spellings of other schedulers, so that programs written for them run on a fleet."""
