from . import usage_account_map, usage_key_wizard
