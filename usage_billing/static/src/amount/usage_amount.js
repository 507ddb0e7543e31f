import { registry } from "@web/core/registry";
import { getCurrency } from "@web/core/currency";
import { FloatField, floatField } from "@web/views/fields/float/float_field";
import { formatFloat } from "@web/views/fields/formatters";

const EXACT_DIGITS = 15; // that a number in the browser has, whatever its size

/** An amount with every digit it has, and at least the decimals of its record's currency: 50, 0.100, 0.0000025. */
export class UsageAmount extends FloatField {
    get formattedValue() {
        const currency = getCurrency(this.props.record.data.currency_id?.id);
        const minDigits = currency ? currency.digits[1] : 2;
        const whole = Math.max(Math.floor(Math.log10(Math.abs(this.value) || 1)) + 1, 1);
        const digits = [EXACT_DIGITS, Math.max(EXACT_DIGITS - whole, minDigits)];
        return formatFloat(this.value, { digits, minDigits, trailingZeros: minDigits > 0 });
    }
}

registry.category("fields").add("usage_amount", { ...floatField, component: UsageAmount });
