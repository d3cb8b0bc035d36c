import PortcullisCore

/// A world of gates, clients and one Redis, all of it made from a seed: the same seed, the same world, to the last byte.
///
/// Times are milliseconds. The lease is shorter than in life, and all else with it, so that a few seconds hold many leases.
final class World {
    static let lease: Int64 = 1000
    static let slack: Int64 = 100
    static let freezeLimit: Int64 = 2500
    /// A gate on a demoted primary learns it by its next probe, or by one that does not come back.
    static let demotionLag: Int64 = 800
    /// How long a message may take where nothing is wrong.
    static let promptly: Int64 = 120
    /// Faults end here; and the world here.
    static let troubleEnds: Int64 = 7000
    static let ends: Int64 = 11_000

    static let terms: VouchTerms = {
        var terms = VouchTerms(lease: Milliseconds(lease))
        terms.pageSize = 4
        terms.probeInterval = Milliseconds(200)
        terms.deafInterval = Milliseconds(50)
        return terms
    }()

    let mistakes: Mistakes
    var random: SeededGenerator
    private var schedule = Schedule()
    private(set) var now: Int64 = 0
    /// Counts the tokens that were signed.
    var serial = 0
    var decisions = 0
    /// Whether events are also only published, and forged ones as well: in a share of the worlds.
    let publishesBare: Bool

    var gates: [SimGate] = []
    var clients: [SimClient] = []
    private var redis: RedisModel?
    private var knowing: Oracle?

    /// Told what happens, where somebody looks.
    private let trace: ((String) -> Void)?

    init(seed: UInt64, mistakes: Mistakes, trace: ((String) -> Void)? = nil) {
        self.mistakes = mistakes
        self.trace = trace
        publishesBare = seed % 4 == 3
        random = SeededGenerator(seed: seed)
        redis = RedisModel(self)
        let count = Int(pick(1...2))
        gates = (0..<count).map { SimGate(self, $0) }
        knowing = Oracle(self, gates: count)
        clients = (0..<6).map { SimClient(self, $0) }
    }

    var primary: RedisModel {
        get { redis ?? RedisModel(self) }
        set { redis = newValue }
    }

    var oracle: Oracle { knowing ?? Oracle(self, gates: gates.count) }

    func tell(_ sentence: @autoclosure () -> String) {
        if let trace { trace("\(now) \(sentence())") }
    }

    func at(_ time: Int64, _ act: @escaping () -> Void) {
        schedule.add(at: max(time, now), act)
    }

    func pick(_ range: ClosedRange<Int64>) -> Int64 {
        Int64.random(in: range, using: &random)
    }

    /// Whether something happens that does so in so many of a hundred cases.
    func chance(_ percent: Int64) -> Bool {
        pick(0...99) < percent
    }

    // MARK: - Running

    /// Runs to the end, or to the first broken promise, which is given.
    func run() -> String? {
        let troubled = Faults(self)
        for gate in gates { gate.start() }
        at(pick(200...600)) { [self] in decideOften() }
        at(500) { troubled.next() }
        if publishesBare { at(pick(300...700)) { [self] in publishOften() } }
        at(50) { [self] in listen() }
        while oracle.violation == nil, let (time, act) = schedule.next(), time < Self.ends {
            now = time
            act()
        }
        if oracle.violation == nil { oracle.judgeTheEnd() }
        // What is scheduled holds the world.
        schedule.removeAll()
        return oracle.violation
    }

    private func listen() {
        for gate in gates { oracle.listen(to: gate) }
        at(now + 50) { [self] in listen() }
    }

    // MARK: - Decisions

    private func decideOften() {
        decide()
        guard now < Self.troubleEnds + 500 else { return }
        at(now + pick(100...900)) { [self] in decideOften() }
    }

    /// A link has come up: a good moment to decide something.
    func hurry() {
        guard now < Self.troubleEnds, chance(60) else { return }
        at(now + pick(0...50)) { [self] in decide() }
    }

    private func decide() {
        guard !primary.isDown, primary.frozenUntil <= now, let client = clients.randomElement(using: &random) else {
            return
        }
        decisions += 1
        let select = Selector(ids: [.user: client.user])
        let decision: Decision
        switch pick(0...9) {
        case 0...4: decision = .revoke(.init(select: select, issuedBefore: .append))
        case 5, 6:
            decision = .revoke(.init(select: Selector(ids: [.token: client.token]), issuedBefore: .never))
        case 7: decision = .block(select, except: nil, until: nil)
        default: decision = .unblock(select)
        }
        let key = Identifier("d\(decisions)")
        _ = primary.append(Event(id: key, decision: decision), key: key, order: nil, fails: chance(8))
    }
}

/// One simulated world.
public enum Simulation {
    /// Runs the world of a seed.
    /// - Parameter trace: is told what happens, line by line.
    /// - Returns: the promise that was broken; nil: none.
    public static func run(seed: UInt64, mistakes: Mistakes = [], trace: ((String) -> Void)? = nil) -> String? {
        World(seed: seed, mistakes: mistakes, trace: trace).run()
    }
}
