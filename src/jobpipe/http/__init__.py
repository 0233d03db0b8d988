"""The HTTP service: parse a request, call one verb of the application, show what it returns.

``endpoint`` says what a call is; ``routes`` holds the table of all of them, from which the server,
its document (OpenAPI) and the tests of who may do what are made.
"""
