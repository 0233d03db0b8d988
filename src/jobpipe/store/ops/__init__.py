"""Each operation of the store once, as a generator of named statements."""
