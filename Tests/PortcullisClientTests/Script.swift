import PortcullisClient
import Synchronization

/// Parts of what a scripted gate does and says.
enum Script {
    static let welcome = #"{"type":"welcome","connection":"c","user":"u","permissions":{}}"#

    /// A server that does to its first connection what the first script says, and so on; further ones it hangs up on.
    static func each(
        _ scripts: (@Sendable (Peer) async throws -> Void)...
    ) -> @Sendable (Peer) async throws -> Void {
        let count = Counter()
        return { peer in
            let index = count.next()
            guard index < scripts.count else { return }
            try await scripts[index](peer)
        }
    }

    struct Unexpected: Error {
        let what: String

        init(_ what: String) {
            self.what = what
        }
    }

    final class Counter: Sendable {
        private let value = Mutex(0)

        func next() -> Int {
            value.withLock { value in
                defer { value += 1 }
                return value
            }
        }
    }
}

extension Peer {
    /// Accepts, and welcomes.
    func welcome(heartbeat: Double? = nil) async throws {
        try await accept()
        let tail = heartbeat.map { ",\"heartbeat_s\":\($0)" } ?? ""
        try await send(#"{"type":"welcome","connection":"c","user":"u","permissions":{}\#(tail)}"#)
    }

    /// The next message of the client, passing over pings; an end of the connection ends the script.
    func message() async throws -> RawJSON {
        while true {
            let frame = try await receive()
            guard frame.first != 0x88 else { throw Gone() }
            if frame.first == 0x81, let json = RawJSON(String(decoding: frame.payload, as: UTF8.self)) { return json }
        }
    }

    /// Waits for a message of a type, and returns its members.
    @discardableResult
    func expect(_ type: String) async throws -> [String: RawJSON] {
        while true {
            let members = try await message().members ?? [:]
            if members["type"]?.string == type { return members }
        }
    }

    /// Lets the client into whatever it asks for next.
    func admit(role: String = "editor") async throws {
        let join = try await expect("join")
        let (resource, ref) = (join["resource"]?.text ?? "null", join["ref"]?.text ?? "null")
        try await send(#"{"type":"joined","resource":\#(resource),"role":"\#(role)","ref":\#(ref)}"#)
    }

    /// Answers the client's goodbye, after whatever else it says.
    func goodbye() async throws {
        while try await receive().first != 0x88 {}
        try await close(1000, "bye")
        try await gone()
    }
}

extension GateConnection.Options {
    static var raw: Self {
        var options = Self()
        options.subprotocol = .raw
        return options
    }
}

extension ReconnectPolicy {
    static let quick = Self(base: .milliseconds(1), cap: .milliseconds(2))
}
