"""Usage rating: prices and quantities in, charges with an explanation out. No Odoo needed.

>>> price = parse_price({
...     "model": "graduated", "per": "1000000", "included_quantity": "500000",
...     "tiers": [{"up_to": "1000000", "unit_amount": "1.50"},
...               {"up_to": None, "unit_amount": "1.20"}],
... })
>>> charge = rate(price, Usage(quantity="2500000"), Currency("USD", "0.01"))
>>> charge.amount
Decimal('2.70')
"""

from .aggregation import prorated_sum, weighted_sum
from .credits import Grant, Ledger, burn_down, burned, draw, ongoing_balance
from .decimals import round_to, text, to_decimal
from .errors import PriceError, RatingError, UsageError
from .invoicing import delta, pay, subtotal, taxed, true_up
from .models import MODELS
from .periods import moment, period_bounds, period_index
from .price import Price, parse_price, rate, rate_together
from .proration import change, day_share, second_share
from .recurrence import periods_due
from .threshold import interim_invoices, less_billed, passes_threshold, whole_amount
from .values import Charge, Currency, Record, Share, Usage
from .versions import rate_versions, sort_late

__all__ = [
    "MODELS",
    "Charge",
    "Currency",
    "Grant",
    "Ledger",
    "Price",
    "PriceError",
    "RatingError",
    "Record",
    "Share",
    "Usage",
    "UsageError",
    "burn_down",
    "burned",
    "change",
    "day_share",
    "delta",
    "draw",
    "interim_invoices",
    "less_billed",
    "moment",
    "ongoing_balance",
    "parse_price",
    "passes_threshold",
    "pay",
    "period_bounds",
    "period_index",
    "periods_due",
    "prorated_sum",
    "rate",
    "rate_together",
    "rate_versions",
    "round_to",
    "second_share",
    "sort_late",
    "subtotal",
    "taxed",
    "text",
    "to_decimal",
    "true_up",
    "weighted_sum",
    "whole_amount",
]
