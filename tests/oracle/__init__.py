"""The oracle: clinical.md a second time, in plain Python, for the tests to compare with."""
