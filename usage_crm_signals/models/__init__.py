from . import usage_signal_kind
from . import usage_signal_kind_included_threshold
from . import usage_signal_kind_usage_drop
from . import usage_signal_rule
from . import usage_signal
from . import crm_lead
from . import res_partner
