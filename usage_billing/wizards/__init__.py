from . import base_partner_merge, usage_statement_prepare, usage_statement_reject, usage_subscription_amend
