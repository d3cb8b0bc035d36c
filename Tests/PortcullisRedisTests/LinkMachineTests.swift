import PortcullisRedis
import Testing

@Suite struct LinkMachineTests {
    static let second: Int64 = 1_000_000_000
    static let millisecond: Int64 = 1_000_000
    static let ok = RESPValue.status(Array("OK".utf8))

    @Test func greetsAndIsReady() {
        var link = LinkMachine()
        #expect(!link.isReady)
        #expect(step(&link) { $0.timePassed(now: 0, random: 0) } == .connect)
        #expect(link.state == .connecting(until: 5 * Self.second))
        #expect(step(&link) { $0.timePassed(now: 1, random: 0) } == .nothing)
        #expect(step(&link) { $0.connected(greeting: 2, now: 10) } == .greet)
        #expect(link.state == .greeting(owed: 2, until: 10 + 5 * Self.second))
        #expect(step(&link) { $0.greeted(Self.ok, now: 20, random: 0) } == .nothing)
        #expect(!link.isReady)
        #expect(step(&link) { $0.greeted(Self.ok, now: 30, random: 0) } == .becomeReady)
        #expect(link.isReady)
        #expect(step(&link) { $0.timePassed(now: .max, random: 0) } == .nothing)
        #expect(link.isReady)
    }

    @Test func withoutAGreeting() {
        var link = LinkMachine()
        #expect(step(&link) { $0.timePassed(now: 0, random: 0) } == .connect)
        #expect(step(&link) { $0.connected(greeting: 0, now: 1) } == .becomeReady)
    }

    @Test func refused() {
        var link = LinkMachine()
        _ = link.timePassed(now: 0, random: 0)
        _ = link.connected(greeting: 2, now: 0)
        let refusal = RESPValue.error("WRONGPASS invalid username-password pair or user is disabled.")
        let reason = "Redis refuses the user or password: correct redis.url or redis.password_file."
        #expect(step(&link) { $0.greeted(refusal, now: 100, random: 0.5) } == .drop(reason: reason))
        #expect(link.state == .waiting(until: 100 + 75 * Self.millisecond))
        #expect(link.failures == 1)
        // The second answer of the greeting was on its way: it changes nothing.
        #expect(step(&link) { $0.greeted(Self.ok, now: 101, random: 0) } == .nothing)
    }

    @Test func timeouts() {
        var link = LinkMachine()
        let late = LinkMachine.Action.drop(reason: "Redis did not answer within 5 s.")
        _ = link.timePassed(now: 0, random: 0)
        #expect(step(&link) { $0.timePassed(now: 5 * Self.second - 1, random: 0) } == .nothing)
        #expect(step(&link) { $0.timePassed(now: 5 * Self.second, random: 0) } == late)
        _ = link.timePassed(now: 10 * Self.second, random: 0)
        _ = link.connected(greeting: 2, now: 11 * Self.second)
        // The deadline is that of the whole greeting: answers that trickle do not move it.
        _ = link.greeted(Self.ok, now: 15 * Self.second, random: 0)
        #expect(step(&link) { $0.timePassed(now: 16 * Self.second, random: 0) } == late)
        #expect(link.failures == 2)
    }

    @Test func lostInEveryState() {
        var waiting = LinkMachine()
        #expect(step(&waiting) { $0.lost("x", now: 0, random: 0) } == .nothing)
        #expect(waiting.failures == 0)
        var connecting = LinkMachine()
        _ = connecting.timePassed(now: 0, random: 0)
        var greeting = connecting
        _ = greeting.connected(greeting: 1, now: 0)
        var ready = greeting
        _ = ready.greeted(Self.ok, now: 0, random: 0)
        for machine in [connecting, greeting, ready] {
            var link = machine
            #expect(step(&link) { $0.lost("x", now: 7, random: 0) } == .drop(reason: "x"))
            #expect(link.state == .waiting(until: 7 + 50 * Self.millisecond))
            // Lost is lost once.
            #expect(step(&link) { $0.lost("y", now: 8, random: 0) } == .nothing)
        }
    }

    /// Events that come in an order that cannot be are survived.
    @Test func outOfStep() {
        var link = LinkMachine()
        #expect(step(&link) { $0.connected(greeting: 1, now: 0) } == .nothing)
        #expect(step(&link) { $0.greeted(Self.ok, now: 0, random: 0) } == .nothing)
        _ = link.timePassed(now: 0, random: 0)
        #expect(step(&link) { $0.greeted(Self.ok, now: 0, random: 0) } == .nothing)
        _ = link.connected(greeting: 1, now: 0)
        #expect(step(&link) { $0.connected(greeting: 1, now: 0) } == .nothing)
        _ = link.greeted(Self.ok, now: 0, random: 0)
        #expect(step(&link) { $0.connected(greeting: 1, now: 0) } == .nothing)
        #expect(step(&link) { $0.greeted(.error("x"), now: 0, random: 0) } == .nothing)
        #expect(link.isReady)
    }

    /// Full jitter between 50 ms and a ceiling that doubles from 100 ms to 2 s, for ever.
    @Test func backoff() {
        var link = LinkMachine()
        var now: Int64 = 0
        let ceilings: [Int64] = [100, 200, 400, 800, 1600] + Array(repeating: 2000, count: 500)
        for (attempt, ceiling) in ceilings.enumerated() {
            #expect(step(&link) { $0.timePassed(now: now, random: 0) } == .connect)
            #expect(wait(link, now, random: 0) == 50 * Self.millisecond)
            #expect(wait(link, now, random: 1) == ceiling * Self.millisecond)
            #expect(wait(link, now, random: 0.5) == (50 + ceiling) * Self.millisecond / 2)
            #expect(wait(link, now, random: 7) == ceiling * Self.millisecond)
            #expect(wait(link, now, random: -7) == 50 * Self.millisecond)
            #expect(step(&link) { $0.lost("gone", now: now, random: 1) } == .drop(reason: "gone"))
            #expect(link.failures == attempt + 1)
            now += ceiling * Self.millisecond
            #expect(step(&link) { $0.timePassed(now: now - 1, random: 0) } == .nothing)
        }
        // Once it has proved to be good it begins anew; that it greets is no proof.
        _ = link.timePassed(now: now, random: 0)
        _ = link.connected(greeting: 0, now: now)
        #expect(link.failures == ceilings.count)
        link.proved()
        #expect(link.failures == 0)
        #expect(wait(link, now, random: 1) == 100 * Self.millisecond)
    }

    func wait(_ machine: LinkMachine, _ now: Int64, random: Double) -> Int64? {
        var link = machine
        _ = link.lost("x", now: now, random: random)
        guard case .waiting(let until) = link.state else { return nil }
        return until - now
    }

    func step(_ link: inout LinkMachine, _ event: (inout LinkMachine) -> LinkMachine.Action) -> LinkMachine.Action {
        event(&link)
    }

    @Test func theEndOfTime() {
        var link = LinkMachine()
        #expect(step(&link) { $0.timePassed(now: .max, random: 0) } == .connect)
        #expect(step(&link) { $0.lost("x", now: .max, random: 1) } == .drop(reason: "x"))
        #expect(link.state == .waiting(until: .max))
    }

    /// Each is a sentence that says what to do.
    @Test(arguments: [
        ("WRONGPASS invalid username-password pair or user is disabled.", "redis.password_file"),
        ("ERR invalid password", "redis.password_file"), ("NOAUTH Authentication required.", "asks for a password"),
        ("ERR AUTH <password> called without any password configured for the default user.", "remove it"),
        ("ERR Client sent AUTH, but no password is set", "remove it"), ("ERR DB index is out of range", "redis.url"),
        ("NOPERM this user has no permissions to run the 'ping' command", "ACL"),
        ("LOADING Redis is loading the dataset in memory", "still loading"), ("ERR unknown", "ERR unknown"),
    ])
    func sentences(_ error: String, _ words: String) {
        #expect(LinkMachine.sentence(error).contains(words))
    }
}
