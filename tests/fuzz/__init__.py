"""Seeded mutation fuzzing of everything that reads a file: `make fuzz`, and a small fixed budget among the tests.

mutate.py makes the inputs, targets/ says what reads them (one module a reader), worker.py reads them in a process of
its own, driver.py watches that process. An input is decided by target, seed and number alone, so that each can be made
again.
"""
