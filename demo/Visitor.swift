import PortcullisClient

/// A user with a connection to the gate, and what the story expects of it.
struct Visitor: Sendable {
    /// How long anything may take before the story has failed.
    static let patience = Duration.seconds(5)

    let name: String
    let connection: GateConnection
    let welcome: Welcome

    /// Connects, and waits for the welcome.
    ///
    /// - Returns: the visitor, and the time from the first packet to the welcome.
    static func connect(
        _ name: String,
        _ token: Secret,
        to url: GateURL
    ) async throws -> (visitor: Visitor, time: Duration) {
        let began = ContinuousClock.now
        let connection = try await GateConnection.connect(to: url, credential: .token(token))
        let first = await race { await connection.messages.makeAsyncIterator().first() }
        guard let first, case .welcome(let welcome) = first.message else {
            throw Failure("\(name) was connected, but not welcomed.")
        }
        return (Visitor(name: name, connection: connection, welcome: welcome), first.arrival - began)
    }

    /// Waits for the next message, which must be the one that is meant.
    ///
    /// - Returns: what `pick` makes of it, and when it came.
    func expect<Value: Sendable>(
        _ what: String,
        _ pick: (ServerMessage) -> Value?
    ) async throws -> (value: Value, arrival: ContinuousClock.Instant) {
        guard let received = await Self.race({ await connection.messages.makeAsyncIterator().first() }) else {
            throw Failure("\(name) did not receive \(what) within \(Terminal.figure(Self.patience)).")
        }
        guard let value = pick(received.message) else {
            throw Failure("\(name) did not receive \(what), but: \(received.message)")
        }
        return (value, received.arrival)
    }

    /// Makes sure that nothing comes for a while.
    func expectSilence(of what: String, for time: Duration = .milliseconds(150)) async throws {
        if let received = await Self.race(within: time, { await connection.messages.makeAsyncIterator().first() }) {
            throw Failure("\(name) should not hear \(what), but received: \(received.message)")
        }
        if connection.closed != nil { throw Failure("\(name) lost the connection.") }
    }

    /// Waits for the end of the connection.
    func expectEnd() async throws -> Closed {
        guard let closed = await Self.race({ await connection.end() }) else {
            throw Failure("\(name) was not cut off within \(Terminal.figure(Self.patience)).")
        }
        return closed
    }

    /// What the work yields; nil where it does not in time.
    private static func race<Value: Sendable>(
        within time: Duration = patience,
        _ work: @escaping @Sendable () async -> Value?
    ) async -> Value? {
        await withTaskGroup(of: Value?.self) { group in
            group.addTask { await work() }
            group.addTask {
                try? await Task.sleep(for: time)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}

extension GateConnection.Messages.Iterator {
    fileprivate func first() async -> Received? {
        var iterator = self
        return await iterator.next()
    }
}
