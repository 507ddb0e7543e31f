from . import (
    res_config_settings,
    res_partner,
    res_users_apikeys,
    usage_source,
    usage_meter,
    usage_account,
    usage_batch,
    usage_event,
    usage_exception,
    usage_aggregate,
    usage_ingestion,
)
