from ...numbers import exact_text
from ..base import ModelTerm, number_words


class Package(ModelTerm):
    name = "package"
    label = "Packages"
    about = "units are sold by the package"

    def definition(self, price, tz):
        return {
            "package_size": exact_text(price.package_size),
            "package_amount": exact_text(price.package_amount),
            "package_rounding": price.package_rounding,
        }

    def words(self, price):
        sentences = {
            "up": price.env._("%(amount)s per started package of %(size)s %(unit)s"),
            "down": price.env._("%(amount)s per full package of %(size)s %(unit)s"),
            "half_up": price.env._("%(amount)s per package of %(size)s %(unit)s, from half full on"),
        }
        return sentences[price.package_rounding or "up"] % {
            "amount": price._amount_words(price.package_amount),
            "size": number_words(price, "package_size"),
            "unit": price.unit_name or "",
        }
