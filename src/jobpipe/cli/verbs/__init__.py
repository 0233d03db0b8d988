"""The verbs, one file for each kind of object; loaded when they are asked for."""
