from . import usage_statement_prepare, usage_statement_reject
