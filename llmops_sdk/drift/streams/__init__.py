"""Watch a stream of scores: find out when and where its mean changed, at a stated rate of false alarms."""
