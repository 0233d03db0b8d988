"""The way to a service over HTTP: what is asked, what is said, and who carries it.

``service`` answers the verbs of an application, ``talk`` decides what is sent and when again,
``lines`` carries it and is the only module that knows the HTTP library.
"""
