{
    "name": "Usage Bench Floor",
    "summary": "The least a server could do with a batch of events; for benchmarks only",
    "version": "19.0.1.0.0",
    "category": "Hidden/Tests",
    "author": "Usage Billing Contributors",
    "license": "LGPL-3",
    "depends": ["web"],
    "post_init_hook": "create_bare_table",
    "uninstall_hook": "drop_bare_table",
}
