from . import controllers
from .hooks import create_bare_table, drop_bare_table
