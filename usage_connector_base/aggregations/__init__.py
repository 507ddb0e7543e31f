from .window import Span, Window
