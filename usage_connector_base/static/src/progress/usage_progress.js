import { onMounted, onWillUnmount } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { ProgressBarField, progressBarField } from "@web/views/fields/progress_bar/progress_bar_field";

const POLL_MILLISECONDS = 2000;

/** A progress bar that follows what happens on the server, as long as the record's state is "running". */
export class UsageProgress extends ProgressBarField {
    setup() {
        super.setup();
        onMounted(() => {
            this.timer = setInterval(() => this.poll(), POLL_MILLISECONDS);
        });
        onWillUnmount(() => clearInterval(this.timer));
    }

    async poll() {
        const { record } = this.props;
        if (record.data.state === "running" && !document.hidden) {
            await record.load();
        }
    }
}

registry.category("fields").add("usage_progress", { ...progressBarField, component: UsageProgress });
