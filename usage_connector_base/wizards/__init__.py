from . import (
    base_partner_merge,
    usage_account_map,
    usage_account_merge,
    usage_correction_wizard,
    usage_endpoint_secret_wizard,
    usage_event_find,
    usage_exception_correct,
    usage_key_wizard,
    usage_meter_reject,
    usage_meter_try,
    usage_retention_wizard,
)
