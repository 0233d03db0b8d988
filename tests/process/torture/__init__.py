"""The whole fault programme at length: faults chosen at random from a seed, judged in rounds."""
