"""Settings: declared once, read from flags, environment and files, refused when they are wrong.

Each part is imported by its own name, so that who asks one question of the environment does not
load the table of settings and the readers of files.
"""
