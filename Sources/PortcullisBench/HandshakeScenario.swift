import PortcullisTokens

/// What a handshake costs the server: floor and gate in turn, with the very same requests.
struct HandshakeScenario {
    /// What clients show.
    enum Credential: Equatable {
        /// A token that the gate has never seen.
        case token(Algorithm)
        /// A token that the gate has seen before, as in a reconnect storm.
        case sameToken(Algorithm)
        /// The cookie of a server session, which is read from Redis.
        case session
    }

    /// A round of one server.
    struct Round {
        /// µs of the server's CPU for each handshake.
        var cost: Double
        var rate: Double
        /// Shares of a core.
        var server: Double
        var client: Double
    }

    let session: Session
    let credential: Credential
    /// Handshakes begun in a second; 0: as fast as the window lets.
    let rate: Int

    /// To make a signature takes the client up to half a millisecond: so many of a kind are enough for a cost of each.
    private static let mostSigned = 4000

    init(session: Session, credential: Credential = .token(.hs256), rate: Int = 0) {
        self.session = session
        self.credential = credential
        self.rate = rate
    }

    func run() throws -> [Row] {
        let floor = try session.startFloor()
        let gate = try session.startGate(algorithm ?? .hs256)
        var rounds: [(floor: Round, gate: Round)] = []
        var verifications: [Double] = []
        for round in 0...session.rounds {
            let passports = try makePassports()
            if case .sameToken = credential { _ = try measure(gate, passports) }
            // Who goes first changes, so that neither always meets the caches that the other left.
            let first = try measure(round % 2 == 0 ? floor : gate, passports)
            let second = try measure(round % 2 == 0 ? gate : floor, passports)
            let pair = round % 2 == 0 ? (floor: first, gate: second) : (floor: second, gate: first)
            let name = round == 0 ? "warm-up" : "round \(round)"
            progress("\(title), \(what), \(name): floor \(text(pair.floor)) | gate \(text(pair.gate))")
            guard round > 0 else { continue }
            rounds.append(pair)
            if let algorithm, algorithm.scheme != nil {
                verifications.append(try Verification.cost(session.issuer(algorithm), session.samples))
            }
        }
        return rows(rounds, verifications)
    }

    private var algorithm: Algorithm? {
        switch credential {
        case .token(let algorithm), .sameToken(let algorithm): algorithm
        case .session: nil
        }
    }

    private var title: String {
        rate > 0 ? "handshake \(rate)/s" : "handshake"
    }

    private var what: String {
        switch credential {
        case .token(let algorithm): algorithm.hmac != nil ? algorithm.rawValue : "\(algorithm.rawValue), first sight"
        case .sameToken(let algorithm): "\(algorithm.rawValue), the same token again"
        case .session: "Redis session"
        }
    }

    private func makePassports() throws -> Passports {
        guard let algorithm else {
            let passports = try Passports(session.connections, .session)
            try SessionStore(session.redisPath).fill(passports)
            return passports
        }
        let count = algorithm.hmac != nil ? session.connections : min(session.connections, Self.mostSigned)
        return try session.passports(count, algorithm)
    }

    private func measure(_ server: Child, _ passports: Passports) throws -> Round {
        let client = try session.client()
        try server.settle()
        let before = try server.processorTime()
        let opening = try client.open(passports, to: server.port, window: session.window, rate: rate)
        try server.settle()
        let used = Double(try server.processorTime() - before)
        client.closeAll(.reset)
        try server.settle()
        let elapsed = Double(opening.elapsed)
        let count = Double(opening.count)
        return Round(
            cost: used / count / 1000,
            rate: count / elapsed * 1e9,
            server: used / elapsed,
            client: Double(opening.used) / elapsed
        )
    }

    // MARK: - What is told

    private func rows(_ rounds: [(floor: Round, gate: Round)], _ verifications: [Double]) -> [Row] {
        // What may be used where a signature must be verified: the floor and something more. Else the floor is the measure itself.
        let isFirstSight = if case .token = credential { !verifications.isEmpty } else { false }
        let allowances = zip(rounds, verifications).map { $0.floor.cost + 1.15 * $1 + 5 }
        let measures = isFirstSight ? allowances : rounds.map(\.floor.cost)
        var target = credential == .session ? 1.6 : 1.25
        var words = shares(rounds)
        if isFirstSight {
            target = 1
            let floor = Report.digits(rounds.map(\.floor.cost).median, 2)
            let verification = Report.digits(verifications.median, 2)
            words = "floor: \(floor) µs + 1.15 × \(verification) µs for OpenSSL to verify + 5 µs; \(words)"
        }
        var rows = [
            Row(
                scenario: title,
                what: "\(what), CPU",
                unit: "µs",
                floor: measures.median,
                gate: rounds.map(\.gate.cost).median,
                ratio: Ratio(zip(rounds, measures).map { (gate: $0.gate.cost, floor: $1) }),
                target: target,
                note: words
            )
        ]
        if credential == .session, rate == 0 {
            rows.append(
                Row(
                    scenario: title,
                    what: "\(what), handshakes",
                    unit: "1/s",
                    floor: rounds.map(\.floor.rate).median,
                    gate: rounds.map(\.gate.rate).median,
                    least: 12_000,
                    note: "\(session.window) under way at once; Redis and the client share the other core"
                )
            )
        }
        return rows
    }

    private func text(_ round: Round) -> String {
        let digits = Report.digits
        return "\(digits(round.cost, 2)) µs, \(digits(round.rate, 0))/s, server \(digits(round.server * 100, 0)) %, "
            + "client \(digits(round.client * 100, 0)) %"
    }

    private func shares(_ rounds: [(floor: Round, gate: Round)]) -> String {
        let share = { (values: [Double]) in Report.digits(values.median * 100, 0) }
        return "core shares: floor \(share(rounds.map(\.floor.server))) %, gate \(share(rounds.map(\.gate.server))) %, "
            + "client \(share(rounds.map(\.floor.client)))/\(share(rounds.map(\.gate.client))) %"
    }
}
