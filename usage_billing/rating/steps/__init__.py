"""The steps around a pricing model, one module each, in the order that :mod:`rating.order` gives.

To add a step: write ``steps/<name>.py`` with a subclass of :class:`~.base.Step` and list it in
:mod:`rating.order`, with the reason for its place.
"""
