import Foundation
public import PortcullisCore
import PortcullisCrypto
import PortcullisGate
import PortcullisReactor
public import PortcullisRedis
import PortcullisWire

/// Server sessions, as the command line makes and ends them.
public struct SessionStore {
    private let connection: BlockingConnection
    private let template: SessionKey
    private let settings: SessionSettings

    public init(_ connection: BlockingConnection, _ settings: Settings) throws(StartupError) {
        self.connection = connection
        self.settings = settings.sessions
        guard let template = SessionKey(settings.sessions.key) else {
            throw StartupError("sessions.key: write a template with one {id} or {sha256} in it, such as session:{id}.")
        }
        self.template = template
    }

    /// Makes a session of a user with an unforeseeable id, in the configured format.
    /// - Parameter fields: more members, as JSON.
    public func create(user: String, life: Duration, fields: [String: Any]) throws -> Identifier {
        let random = try SecureRandom.bytes(24)
        let id = Identifier(bytes: Hexadecimal.encode(random))
        var session = Self.setting(Clock.wall(), at: path(settings.createdField), in: fields)
        session = Self.setting(user, at: path(settings.userField), in: session)
        let json = Array(try JSONSerialization.data(withJSONObject: session, options: [.sortedKeys]))
        let life = Milliseconds(max(1, life.inMilliseconds.count))
        let command: Command
        switch settings.format {
        case .json: command = Self.set(template.key(id), json, life)
        case .msgpack: command = Self.set(template.key(id), try MessagePackValue(json: json).encoded, life)
        case .hash: command = Scripts.createSession(key: template.key(id), fields: try Self.fields(json), life: life)
        }
        let reply = try connection.ask(command)
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return id
    }

    /// Nothing is nested in a hash: there a dotted path is a name.
    private func path(_ field: String) -> [String] {
        settings.format == .hash ? [field] : field.split(separator: ".").map(String.init)
    }

    private static func set(_ key: [UInt8], _ value: [UInt8], _ life: Milliseconds) -> Command {
        Command([Array("SET".utf8), key, value, Array("PX".utf8), Array(String(life.count).utf8)])
    }

    /// The fields of a hash: a text as it is, all else as JSON, nothing for null.
    private static func fields(_ text: [UInt8]) throws -> [[UInt8]] {
        var json = StrictJSON()
        try json.parse(text.span)
        var fields: [[UInt8]] = []
        for (name, value) in json.members() where json.kind(of: value) != .null {
            guard let name = json.string(name, in: text.span) else { continue }
            fields += [name.bytes, json.string(value, in: text.span)?.bytes ?? json.raw(value, in: text.span)]
        }
        return fields
    }

    private static func setting(_ value: Any, at path: [String], in object: [String: Any]) -> [String: Any] {
        var object = object
        guard let name = path.first else { return object }
        if path.count == 1 {
            object[name] = value
        } else {
            let inner = object[name] as? [String: Any] ?? [:]
            object[name] = setting(value, at: Array(path.dropFirst()), in: inner)
        }
        return object
    }

    /// A session's value and what is left of its life; nil where there is none.
    ///
    /// What is stored as JSON is shown as it stands there, the other formats as JSON.
    public func show(_ id: Identifier) throws -> (value: String, left: Milliseconds?)? {
        let reply = try connection.ask(Scripts.readSession(key: template.key(id), isHash: settings.format == .hash))
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        guard let parts = reply.array, parts.count == 2, let value = try shown(parts[0]) else { return nil }
        let left = parts[1].integer ?? -1
        return (String(decoding: value, as: UTF8.self), left < 0 ? nil : Milliseconds(left))
    }

    private func shown(_ value: RESPValue) throws -> [UInt8]? {
        switch settings.format {
        case .json: return value.bytes
        case .msgpack: return try value.bytes.map { try MessagePackValue($0).json }
        case .hash:
            guard let fields = value.array?.compactMap(\.bytes), !fields.isEmpty else { return nil }
            return JSONBuilder.object { object in
                for index in stride(from: 0, to: fields.count - 1, by: 2) {
                    object.name(fields[index])
                    object.value(Identifier(bytes: fields[index + 1]))
                }
            }
        }
    }

    /// Ends a session: its key is deleted, and the gates, which watch it, close its connections.
    /// - Returns: false where there was none.
    public func end(_ id: Identifier) throws -> Bool {
        let reply = try connection.ask(Command([Array("DEL".utf8), template.key(id)]))
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return reply.integer == 1
    }
}
