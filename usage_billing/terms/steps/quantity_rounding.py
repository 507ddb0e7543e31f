from ..base import StepTerm


class QuantityRounding(StepTerm):
    def definition(self, price, tz):
        if not price.quantity_rounding:
            return {}
        rounding = {"mode": price.quantity_rounding}
        if price.quantity_precision:
            rounding["precision"] = str(price.quantity_precision)
        if price.quantity_split == "independent":
            rounding["split"] = "independent"
        return {"quantity_rounding": rounding}

    def words(self, price):
        if not price.quantity_rounding:
            return ""
        mode = dict(price._fields["quantity_rounding"]._description_selection(price.env))[price.quantity_rounding]
        if not price.quantity_precision:
            return price.env._("whole units (%s)", mode.lower())
        return price.env._(
            "quantity to %(decimals)s decimals (%(mode)s)", decimals=price.quantity_precision, mode=mode.lower()
        )
