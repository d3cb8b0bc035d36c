import Testing

/// Real gates, a real Redis and what can happen to them. One test at a time: each has bounds in time to keep.
@Suite(.serialized) enum Chaos {}
