"""Benchmarks: how fast the product is, beside the least that could be done instead, and whether that is enough.

Each benchmark is a file of this folder with

    GROUP     what it is started with: benchmarks of a group share one arena
    ABOUT     one line for --help
    EVENTS    only of those that run with --large or by name: how many events, unless --events says so
    arena()   a context manager that gives what `measure` needs (a server, connections …)
    measure(arena) -> Result, or measure(arena, events) -> Result where there is EVENTS

Its name is that of the file. Files that begin with an underscore are helpers.
"""
