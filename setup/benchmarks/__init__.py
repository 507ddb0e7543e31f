"""Benchmarks: how fast the product is, always beside the least that could be done instead.

Each benchmark is a file of this folder with

    GROUP     what it is started with: benchmarks of a group share one arena
    UNIT      of its value and its floor
    ABOUT     one line for --help
    arena()   a context manager that gives what `measure` needs (a server, connections …)
    measure(arena) -> Result

Its name is that of the file. Files that begin with an underscore are helpers.
"""
