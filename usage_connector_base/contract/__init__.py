"""What the API promises, in plain Python without Odoo.

``windows``   hours, days and months of a time zone
``questions`` parameters of ``GET /usage/v1/usage`` -> :class:`questions.Question`
``openapi``   the description of all routes, made from the code's own tables
"""
