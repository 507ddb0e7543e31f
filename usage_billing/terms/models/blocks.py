from ...numbers import exact, exact_text, format_number
from ..base import ModelTerm, beyond, differing


class Blocks(ModelTerm):
    name = "blocks"
    label = "Block tiers"
    about = "tiers as wide as a number of blocks, units are sold by the block"

    def definition(self, price, tz):
        rounding = price.package_rounding
        return {
            "tiers": [self._tier(tier) for tier in price.tier_ids],
            **({"block_rounding": rounding} if rounding != "up" else {}),
            **differing(price, policy="all_tiers"),
            **beyond(price),
        }

    def _tier(self, tier):
        return {
            "block_size": exact_text(tier.block_size),
            "blocks": exact_text(tier.blocks) if tier.blocks else None,
            "block_amount": exact_text(tier.amount),
        }

    def words(self, price):
        tiers = price.env._(", then ").join(self._tier_words(price, tier) for tier in price.tier_ids)
        if price.policy == "top_tier":
            return price.env._("All blocks at the price of the tier reached: %s", tiers)
        return tiers

    def _tier_words(self, price, tier):
        size = format_number(price.env, exact(tier.block_size))
        amount, unit = price._amount_words(tier.amount), price.unit_name or ""
        if not tier.blocks:
            return price.env._("%(amount)s per block of %(size)s %(unit)s", amount=amount, size=size, unit=unit)
        blocks = format_number(price.env, exact(tier.blocks))
        return price.env._(
            "%(amount)s per block of %(size)s %(unit)s for %(blocks)s blocks",
            amount=amount,
            size=size,
            unit=unit,
            blocks=blocks,
        )
