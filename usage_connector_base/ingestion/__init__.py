"""From the bytes of a request to facts: plain Python, without Odoo.

``envelope``     bytes of a body -> list of events as dicts, exact numbers
``schemas``      a JSON Schema -> the check of an event's data
``facts``        one event as dict -> :class:`facts.Fact`, or :class:`facts.Rejection` with its code
``corrections``  one correction as dict -> :class:`corrections.Correction`, or a rejection
``summaries``    one summary as dict -> :class:`summaries.Summary`, or a rejection; the windows that stand beside it
"""
