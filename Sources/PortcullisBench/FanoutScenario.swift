import ArgumentParser
import PortcullisTokens

/// What it costs to tell the members of a room what one of them says, against a floor that writes the same bytes to as many sockets.
struct FanoutScenario {
    /// A server with its members and its speaker.
    private struct Hall {
        let server: Child
        let client: LoadClient
        let speaker: FrameSocket
        /// What the speaker says each time.
        let words: [UInt8]
    }

    /// A round of one server.
    private struct Round {
        /// µs of the server's CPU for each message to one member.
        var cost: Double
        /// Shares of a core.
        var server: Double
        var client: Double
    }

    let session: Session
    /// What the speaker says in a second.
    let rate: Int

    private static let room = "bench"
    private static let text = Array("A room hears what one of its members has to say, all of it, now.".utf8)

    private var members: Int {
        min(1000, session.connections)
    }

    private var messages: Int {
        session.isQuick ? 50 : 200
    }

    func run() throws -> [Row] {
        try [false, true].map { try run(isVersion1: $0) }
    }

    private func run(isVersion1: Bool) throws -> Row {
        let wish = Passports.Wish(room: Self.room, isVersion1: isVersion1)
        let passports = try session.passports(members, .hs256, wish)
        let gate = try hall(session.startGate(), passports, Self.masked(Self.text))
        let frame = try firstFrame(gate, wish)
        let floor = try hall(session.startFloor(broadcasts: true), passports, frame)
        let name = isVersion1 ? "portcullis.v1" : "raw"
        var rounds: [(gate: Round, floor: Round)] = []
        for round in 0...session.rounds {
            let first = try measure(round % 2 == 0 ? floor : gate, frame.count)
            let second = try measure(round % 2 == 0 ? gate : floor, frame.count)
            let pair = round % 2 == 0 ? (gate: second, floor: first) : (gate: first, floor: second)
            let digits = Report.digits
            progress(
                "fanout \(name) \(round == 0 ? "warm-up" : "round \(round)"): floor \(digits(pair.floor.cost, 2)) µs, "
                    + "gate \(digits(pair.gate.cost, 2)) µs, client \(digits(pair.gate.client * 100, 0)) %"
            )
            if round > 0 { rounds.append(pair) }
        }
        let share = { (values: [Double]) in Report.digits(values.median * 100, 0) }
        return Row(
            scenario: "fanout",
            what: "a room of \(members), \(name), CPU of a delivered message",
            unit: "µs",
            floor: rounds.map(\.floor.cost).median,
            gate: rounds.map(\.gate.cost).median,
            ratio: Ratio(rounds.map { (gate: $0.gate.cost, floor: $0.floor.cost) }),
            target: 1.2,
            note: "\(frame.count) bytes, \(rate)/s; core shares: floor \(share(rounds.map(\.floor.server))) %, "
                + "gate \(share(rounds.map(\.gate.server))) %, "
                + "client \(share(rounds.map(\.floor.client)))/\(share(rounds.map(\.gate.client))) %"
        )
    }

    /// Everybody comes in: first the speaker, then the members.
    private func hall(_ server: Child, _ passports: Passports, _ words: [UInt8]) throws -> Hall {
        // The gate's speaker needs no envelopes.
        let single = try session.passports(1, .hs256, Passports.Wish(room: Self.room))
        let speaker = try FrameSocket(single, 0, to: server.port)
        let client = try session.client()
        _ = try client.open(passports, to: server.port, window: session.window)
        try server.settle()
        return Hall(server: server, client: client, speaker: speaker, words: words)
    }

    /// The very bytes that a member of the gate's room gets.
    private func firstFrame(_ gate: Hall, _ wish: Passports.Wish) throws -> [UInt8] {
        let scout = try FrameSocket(session.passports(1, .hs256, wish), 0, to: gate.server.port)
        let greetings = wish.isVersion1 ? 1 : 0
        for _ in 0..<greetings { _ = try scout.nextFrame() }
        try gate.speaker.send(gate.words)
        let frame = try scout.nextFrame()
        guard frame.indices.contains(where: { frame[$0...].starts(with: Self.text) }) else {
            throw BenchFailure("A member of the room was told something else than the speaker said.")
        }
        try gate.server.settle()
        return frame
    }

    private func measure(_ hall: Hall, _ size: Int) throws -> Round {
        // What is still on its way: greetings, and what the scout was told.
        hall.client.keep(until: Machine.now() + 100_000_000)
        try hall.server.settle()
        let target = hall.client.received + messages * members * size
        let step = 1_000_000_000 / UInt64(rate)
        let used = Machine.ownTime()
        let before = try hall.server.processorTime()
        let began = Machine.now()
        for number in 0..<messages {
            hall.client.keep(until: began + UInt64(number) * step)
            try hall.speaker.send(hall.words)
        }
        hall.client.keep(until: Machine.now() + 10_000_000_000, received: target)
        let elapsed = Double(Machine.now() - began)
        let own = Double(Machine.ownTime() - used)
        try hall.server.settle()
        let cost = Double(try hall.server.processorTime() - before)
        hall.client.keep(until: Machine.now() + 10_000_000)
        guard hall.client.received == target else {
            throw BenchFailure("\(target - hall.client.received) bytes too few came to the members of a room.")
        }
        return Round(cost: cost / Double(messages * members) / 1000, server: cost / elapsed, client: own / elapsed)
    }

    /// A text as a client sends it: masked (RFC 6455, section 5.3), at most 125 bytes.
    private static func masked(_ text: [UInt8]) -> [UInt8] {
        let mask: [UInt8] = [0x5A, 0x11, 0xC3, 0x08]
        return [0x81, 0x80 | UInt8(clamping: text.count)] + mask + text.indices.map { text[$0] ^ mask[$0 % 4] }
    }
}

/// `portcullis-bench fanout`
struct FanoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "The server's CPU for a message to each member of a room."
    )

    @OptionGroup var options: ScenarioOptions

    @Option(help: "What the speaker says in a second.")
    var rate = 100

    func run() throws {
        let session = try Session(options)
        try session.show(FanoutScenario(session: session, rate: max(1, rate)).run())
    }
}
