import PortcullisClient

/// The story: two people in a document; one may no longer write, one is cut off, one stays. Every step checks that it happened.
struct Tour: Sendable {
    static let resource = "doc:42"
    static let roles = "{\"\(resource)\":\"editor\"}"

    let gate: LocalGate
    let terminal: Terminal

    /// Tells it.
    ///
    /// - Returns: who is still connected.
    func run() async throws -> Visitor {
        let url = try gate.url.bound(to: Self.resource)
        terminal.step(1, "A gate starts, with a Redis of its own: \(gate.url)", gate.startTime)

        let alice = try await Visitor.connect("alice", try await gate.token("alice", permissions: Self.roles), to: url)
        let token = try await gate.token("bob", permissions: Self.roles)
        let bob = try await Visitor.connect("bob", token, to: url)
        for (number, guest) in [(2, alice), (3, bob)] {
            let name = guest.visitor.name
            guard guest.visitor.welcome.user == name, guest.visitor.welcome.role == "editor" else {
                throw Failure("\(name) was welcomed as somebody else: \(guest.visitor.welcome).")
            }
            terminal.step(number, "\(name) connects to /ws/\(Self.resource) by a token, as its editor", guest.time)
        }
        try await pause()

        try await publish(alice.visitor, to: bob.visitor)
        try await pause()
        try await narrow(alice.visitor, while: bob.visitor)
        try await pause()
        try await revoke(bob.visitor, token, url)
        try await pause()
        try await stay(alice.visitor)
        return alice.visitor
    }

    // MARK: - The steps

    private func publish(_ alice: Visitor, to bob: Visitor) async throws {
        let text = RawJSON(string: "The bridge is up.")
        let began = ContinuousClock.now
        try await alice.connection.send(.publish(resource: Self.resource, data: text))
        let (relayed, arrival) = try await bob.expect("alice's message") { message in
            if case .message(let relayed) = message { relayed } else { nil }
        }
        guard relayed.user == "alice", relayed.data == text else {
            throw Failure("bob received something else than alice's message: \(relayed).")
        }
        terminal.step(4, "alice publishes “The bridge is up.”, and bob receives it", arrival - began)
    }

    private func narrow(_ alice: Visitor, while bob: Visitor) async throws {
        terminal.command("portcullis permit --user alice --resource \(Self.resource) --role viewer")
        let decided = try gate.decider().permit("alice", Self.resource, "viewer")
        let (change, arrival) = try await alice.expect("the change of her role") { message in
            if case .permission(let change) = message { change } else { nil }
        }
        guard change.resource == Self.resource, change.to == "viewer" else {
            throw Failure("alice was told of another change: \(change).")
        }
        terminal.step(5, "alice stays connected, but may only read now", arrival - decided)

        let began = ContinuousClock.now
        let text = RawJSON(string: "And a drawbridge.")
        try await alice.connection.send(.publish(resource: Self.resource, data: text))
        let (error, refused) = try await alice.expect("a refusal") { message in
            if case .error(let error) = message { error } else { nil }
        }
        guard error.code == "forbidden" else { throw Failure("alice was refused for another reason: \(error.code).") }
        try await bob.expectSilence(of: "what alice may no longer say")
        terminal.step(6, "alice publishes again: refused, \(error.code); bob hears nothing", refused - began)
    }

    private func revoke(_ bob: Visitor, _ token: Secret, _ url: GateURL) async throws {
        let message = "Your account was closed."
        terminal.command("portcullis revoke --user bob --message \"\(message)\"")
        let decided = try gate.decider().revoke("bob", message: message)
        let closed = try await bob.expectEnd()
        guard closed.code == 4410, closed.reason == "revoked", closed.advice == .never else {
            throw Failure("bob was closed otherwise: \(closed.code ?? 0) \(closed.reason).")
        }
        terminal.step(7, "bob is cut off: close code 4410, \(closed.reason)", closed.arrival - decided)

        let began = ContinuousClock.now
        do {
            _ = try await GateConnection.connect(to: url, credential: .token(token))
            throw Failure("bob came back with the token that was revoked.")
        } catch let failure as GateFailure {
            guard let refusal = failure.refusal, refusal.status == 401, refusal.code == "revoked" else {
                throw Failure("bob's return failed otherwise: \(failure)")
            }
            terminal.step(8, "bob comes back with the same token: refused, 401 revoked", .now - began)
        }
    }

    private func stay(_ alice: Visitor) async throws {
        let text = RawJSON(string: "Good evening.")
        terminal.command("portcullis notify --user alice --data '\(text)'")
        let decided = try gate.decider().notify("alice", data: text.text)
        let (data, arrival) = try await alice.expect("the notice") { message in
            if case .notice(let data) = message { data } else { nil }
        }
        guard data == text else { throw Failure("alice received something else than the notice: \(data).") }
        terminal.step(9, "alice never left, and receives it", arrival - decided)

        let (rows, status) = try await gate.command(["connections", "--json"])
        let users = rows.split(separator: "\n").compactMap { RawJSON(String($0))?.members?["user"]?.string }
        guard status == 0, users == ["alice"] else { throw Failure("The gate lists other connections: \(rows)") }
    }

    /// Time to read, where somebody does.
    private func pause() async throws {
        if terminal.isInteractive { try await Task.sleep(for: .milliseconds(700)) }
    }
}
