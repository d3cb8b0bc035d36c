/// Whether a gate can vouch for what it admits, and how it stands: the body of `/readyz`.
public struct ReadinessReport: Equatable, Sendable {
    /// Whether it admits anybody: only then is the status 200.
    public var isReady: Bool
    /// The id of the last entry of the log that it has read; nil before the first.
    public var position: String?
    /// The age of its view of the log in milliseconds; nil before there is one.
    public var stalenessMilliseconds: Int64?
    /// How long the last probe took in milliseconds; nil before the first came back.
    public var probeMilliseconds: Int64?
    /// Whether it holds all traffic because it cannot vouch.
    public var isFrozen: Bool
    /// Events that it did not understand, since its start.
    public var unknownEvents: Int
    /// Live connections.
    public var connections: Int

    public init(
        isReady: Bool,
        position: String? = nil,
        stalenessMilliseconds: Int64? = nil,
        probeMilliseconds: Int64? = nil,
        isFrozen: Bool = false,
        unknownEvents: Int = 0,
        connections: Int = 0
    ) {
        self.isReady = isReady
        self.position = position
        self.stalenessMilliseconds = stalenessMilliseconds
        self.probeMilliseconds = probeMilliseconds
        self.isFrozen = isFrozen
        self.unknownEvents = unknownEvents
        self.connections = connections
    }

    /// The report as JSON; what is unknown is null.
    var json: String {
        let members = [
            ("ready", "\(isReady)"),
            ("position", position.map(LogText.json) ?? "null"),
            ("staleness_ms", stalenessMilliseconds.map { "\($0)" } ?? "null"),
            ("probe_ms", probeMilliseconds.map { "\($0)" } ?? "null"),
            ("frozen", "\(isFrozen)"),
            ("unknown_events", "\(unknownEvents)"),
            ("connections", "\(connections)"),
        ]
        return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }
}
