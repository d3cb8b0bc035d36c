import PortcullisCore
public import PortcullisRedis
import PortcullisWire

/// The log as the command line shows it: entries as they stand there, also those that a gate would not understand.
public struct DecisionLog {
    private let connection: BlockingConnection
    private let key: String

    public static let pageSize = 1000

    public init(_ connection: BlockingConnection, _ settings: Settings) {
        self.connection = connection
        key = Keys(prefix: settings.redis.prefix).log
    }

    /// One entry.
    public struct Entry: Equatable, Sendable {
        /// Its id in the stream.
        public var position: String
        /// The event's id, or the one that stands for it.
        public var id: String
        public var order: Int64
        public var version: Int64?
        /// The event, verbatim.
        public var event: String

        /// One line. An event that is not JSON is shown as a text.
        public var json: String {
            let bytes = Array(event.utf8)
            var parser = StrictJSON()
            let isJSON = (try? parser.parse(bytes.span)) != nil
            let line = JSONBuilder.object { json in
                json.member("id", position)
                json.member("event_id", id)
                json.member("order", order)
                if let version { json.member("version", version) }
                if isJSON { json.member("event", json: bytes) } else { json.member("event", event) }
            }
            // Line breaks may stand between the members of an event; in a text they are escaped.
            return String(decoding: line.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }, as: UTF8.self)
        }
    }

    /// Whether a text is the id of an entry.
    public static func isPosition(_ text: String) -> Bool {
        LogPosition(Identifier(text)) != nil
    }

    /// The newest entry's id; `0-0` where there is none.
    public func tail() throws -> String {
        let reply = try connection.ask(Command("XREVRANGE", key, "+", "-", "COUNT", "1"))
        return try entries(reply).last?.position ?? "0-0"
    }

    /// The next entries; fewer than ``pageSize`` at the end of the log.
    /// - Parameter position: an entry that they stand behind; nil: from the beginning.
    public func page(after position: String?) throws -> [Entry] {
        let start = position.map { "(" + $0 } ?? "-"
        return try entries(try connection.ask(Command("XRANGE", key, start, "+", "COUNT", String(Self.pageSize))))
    }

    /// The next entries, waited for up to a time.
    public func wait(after position: String, milliseconds: Int) throws -> [Entry] {
        let command = Command(
            "XREAD",
            "COUNT",
            String(Self.pageSize),
            "BLOCK",
            String(milliseconds),
            "STREAMS",
            key,
            position
        )
        let reply = try connection.ask(command, extra: milliseconds)
        if reply == .null { return [] }
        return try entries(reply.array?.first?.array?.last ?? reply)
    }

    private func entries(_ reply: RESPValue) throws -> [Entry] {
        guard let rows = reply.array else {
            throw StartupError(LinkMachine.sentence(reply.errorText ?? "what is no list of entries."))
        }
        return rows.compactMap { row in
            guard let parts = row.array, parts.count == 2, let position = parts[0].text, let fields = parts[1].array
            else { return nil }
            var values: [String: String] = [:]
            for index in stride(from: 0, to: fields.count - 1, by: 2) {
                if let name = fields[index].text, let value = fields[index + 1].text { values[name] = value }
            }
            return Entry(
                position: position,
                id: values["i"] ?? "",
                order: values["o"].flatMap { Int64($0) } ?? 0,
                version: values["version"].flatMap { Int64($0) },
                event: values["e"] ?? ""
            )
        }
    }
}
