"""Reads cases of other billing engines and asks the rating core for what they expect."""

from collections.abc import Callable

from .billing import (
    answer_both_splits,
    answer_cancellation,
    answer_commitment,
    answer_credits_on_invoice,
    answer_delta,
    answer_each_quantity,
    answer_late_usage,
    answer_minimum,
    answer_progressive,
    answer_successive_events,
    answer_successive_quantities,
    answer_versions,
)
from .charges import answer_rating
from .compare import same
from .credit import answer_grants, answer_ongoing, answer_reset, answer_topup, answer_wallet
from .proration import answer_change, answer_granted_credits, answer_recurring, answer_windows
from .quantities import answer_prorated_sum, answer_rounding, answer_subtotal, answer_weighted_sum
from .written import Unsupported

__all__ = ["Unsupported", "answer", "same"]

#: How the cases of a model are answered; all others are rated.
ANSWERS: dict[str, Callable[[dict], dict]] = {
    "agg_prorated_sum": answer_prorated_sum,
    "agg_weighted_sum": answer_weighted_sum,
    "agg_weighted_sum_grouped": answer_weighted_sum,
    "charge_minimum_trueup": answer_minimum,
    "charge_minimum_trueup_filtered": answer_minimum,
    "credit_grant_proration": answer_granted_credits,
    "credit_note_rounding": answer_recurring,
    "credit_reset_rollover": answer_reset,
    "credits_on_invoice": answer_credits_on_invoice,
    "currency_rounding": answer_rounding,
    "free_allowance_split": answer_successive_quantities,
    "graduated_percentage_sequence": answer_successive_events,
    "invoice_subtotal_rounding": answer_subtotal,
    "item_added_proration": answer_change,
    "item_removed_proration": answer_change,
    "late_usage": answer_late_usage,
    "late_usage_volume": answer_delta,
    "line_rounding": answer_rounding,
    "minimum_commitment_trueup": answer_commitment,
    "month_window_clamp": answer_windows,
    "package_quantity": answer_each_quantity,
    "plan_change_mid_period": answer_versions,
    "plan_change_proration": answer_change,
    "prepaid_wallet": answer_wallet,
    "price_version_mid_period": answer_versions,
    "progressive_billing": answer_progressive,
    "quantity_change_proration": answer_change,
    "rerate_delta": answer_delta,
    "subscription_proration": answer_recurring,
    "unit_conversion_split": answer_both_splits,
    "unused_period_credit_note": answer_recurring,
    "upgrade_charge": answer_recurring,
    "upgrade_credit": answer_recurring,
    "usage_on_cancellation_day": answer_cancellation,
    "wallet_ongoing_balance": answer_ongoing,
    "wallet_topup_rounding": answer_topup,
}


def answer(case: dict) -> dict:
    """Return what the core says of a case, by the names of what is expected."""
    model = case["model"]
    if model.startswith("credit_grants"):
        return answer_grants(case)
    return ANSWERS.get(model, answer_rating)(case)
