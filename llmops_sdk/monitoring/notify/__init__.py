"""Send notifications: a durable queue with one spool for each notifier, and the notifiers themselves."""
