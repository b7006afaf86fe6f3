"""What benchmark.py measures: a module for each of its commands, and how it is measured."""
