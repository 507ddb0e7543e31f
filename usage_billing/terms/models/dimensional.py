from ...rating import PriceError
from ..base import ModelTerm, Need


class Dimensional(ModelTerm):
    name = "dimensional"
    label = "By dimension"
    about = "a price for each region, model or whatever else events carry, and one for all others"

    def definition(self, price, tz):
        prices, default = [], {}
        for number, part in enumerate(price.part_ids):
            match = self._match(price, part, number)
            if not match and not default:
                default = {"default": part._nested_definition(tz)}
            else:
                prices.append({"match": match, "price": part._nested_definition(tz)})
        return {"prices": prices, **default}

    def _match(self, price, part, number):
        """Return {dimension: value} of a row, from its values that are filled in."""
        match = {}
        for name, value in price._dimension_pairs(part):
            if value and not name:
                raise PriceError(
                    f"prices[{number}].match", f"has the value {value!r} of no dimension", "name the dimension above"
                )
            if value:
                match[name] = value
        return match

    def need(self, price, tz):
        need = Need(dimensions=frozenset(name for name in price._priced_dimensions() if name))
        for part in price.part_ids:
            need |= part._need(tz)
        return need

    def words(self, price):
        words = [self._part_words(price, part) for part in price.part_ids]
        if price.part_ids and all(part.value_1 or part.value_2 or part.value_3 for part in price.part_ids):
            words.append(price.env._("all others: no price, they block the statement"))
        return price.env._("; ").join(words)

    def _part_words(self, price, part):
        values = [value for _name, value in price._dimension_pairs(part) if value]
        title = " · ".join(values) or price.env._("all others")
        return price.env._("%(part)s: %(price)s", part=title, price=part.description or "")
