from ..base import StepTerm


class Trial(StepTerm):
    def definition(self, price, tz):
        return {"trial_days": str(price.trial_days)} if price.trial_days else {}

    def words(self, price):
        return price.env._("the first %s days free", price.trial_days) if price.trial_days else ""
