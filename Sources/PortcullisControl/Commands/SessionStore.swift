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
    private let key: SessionKey
    private let settings: SessionSettings

    public init(_ connection: BlockingConnection, _ settings: Settings) throws(StartupError) {
        self.connection = connection
        self.settings = settings.sessions
        guard let key = SessionKey(settings.sessions.key) else {
            throw StartupError("sessions.key: this version needs a template with {id} in it, such as session:{id}.")
        }
        self.key = key
    }

    /// Makes a session of a user with an unforeseeable id.
    /// - Parameter fields: more members, as JSON.
    public func create(user: String, life: Duration, fields: [String: Any]) throws -> Identifier {
        let random = try SecureRandom.bytes(24)
        let id = Identifier(bytes: Hexadecimal.encode(random))
        var session = fields
        session[settings.createdField] = Clock.wall()
        session = Self.setting(user, at: settings.userField.split(separator: ".").map(String.init), in: session)
        let json = Array(try JSONSerialization.data(withJSONObject: session, options: [.sortedKeys]))
        let milliseconds = Array(String(max(1, life.inMilliseconds.count)).utf8)
        let reply = try connection.ask(
            Command([Array("SET".utf8), key.key(id), json, Array("PX".utf8), milliseconds])
        )
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return id
    }

    private static func setting(_ user: String, at path: [String], in object: [String: Any]) -> [String: Any] {
        var object = object
        guard let name = path.first else { return object }
        if path.count == 1 {
            object[name] = user
        } else {
            let inner = object[name] as? [String: Any] ?? [:]
            object[name] = setting(user, at: Array(path.dropFirst()), in: inner)
        }
        return object
    }

    /// A session's value and what is left of its life; nil where there is none.
    public func show(_ id: Identifier) throws -> (value: String, left: Milliseconds?)? {
        let replies = try connection.ask([
            Command([Array("GET".utf8), key.key(id)]), Command([Array("PTTL".utf8), key.key(id)]),
        ])
        if let error = replies.lazy.compactMap(\.errorText).first { throw StartupError(LinkMachine.sentence(error)) }
        guard replies.count == 2, let value = replies[0].text else { return nil }
        let left = replies[1].integer ?? -1
        return (value, left < 0 ? nil : Milliseconds(left))
    }

    /// Ends a session: its key is deleted, and the gates, which watch it, close its connections.
    /// - Returns: false where there was none.
    public func end(_ id: Identifier) throws -> Bool {
        let reply = try connection.ask(Command([Array("DEL".utf8), key.key(id)]))
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return reply.integer == 1
    }
}
