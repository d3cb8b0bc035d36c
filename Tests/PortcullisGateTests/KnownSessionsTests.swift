import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

@testable import PortcullisGate

/// The table of sessions that need not be read for each handshake.
@Suite struct KnownSessionsTests {
    private let wall = WallTime(milliseconds: 1_767_268_800_000)

    private func at(_ milliseconds: Int64) -> BootTime {
        BootTime(nanoseconds: 1_000_000_000_000) + Milliseconds(milliseconds)
    }

    private func state(_ text: String = "v", expires: WallTime? = nil) -> SessionState {
        .present(.string(Array(text.utf8)), expires: expires)
    }

    private func tracked(entries: Int = 100, bytes: Int = 1 << 20) -> KnownSessions {
        var limits = KnownSessions.Limits(age: .seconds(30), proof: .seconds(5))
        (limits.entries, limits.bytes) = (entries, bytes)
        var known = KnownSessions(limits)
        known.forgetAll(isTracking: true)
        return known
    }

    private func read(_ known: inout KnownSessions, _ id: Identifier, _ state: SessionState, _ time: Int64 = 0) {
        let stamp = known.asked()
        known.answered(id, stamp, state, sentAt: at(time), now: at(time), wall: wall + Milliseconds(time))
    }

    private func find(_ known: inout KnownSessions, _ id: Identifier, _ time: Int64 = 0) -> SessionState? {
        known.find(id, now: at(time), wall: wall + Milliseconds(time))?.state
    }

    @Test func whatWasReadIsKnownForTheLease() {
        var known = tracked()
        read(&known, "s", state())
        #expect(find(&known, "s", 4999) == state())
        #expect(known.hits == 1)
        #expect(find(&known, "s", 5000) == nil && find(&known, "t") == nil)
        // It is gone: an older moment brings nothing back.
        #expect(find(&known, "s", 0) == nil && known.count == 0)
    }

    /// What is told while there is always a read under way does not heap up: what is awaited then is not kept, and what is read later is.
    @Test func changesAreBounded() {
        var known = tracked(entries: 4)
        let awaited = known.asked()
        for number in 0..<4 { known.changed(Identifier("a\(number)")) }
        let later = known.asked()
        for number in 4..<7 {
            known.changed(Identifier("a\(number)"))
            #expect(known.changeCount <= 4)
        }
        let last = known.asked()
        known.answered("s", awaited, state(), sentAt: at(0), now: at(0), wall: wall)
        known.answered("t", later, state(), sentAt: at(0), now: at(0), wall: wall)
        known.answered("u", last, state(), sentAt: at(0), now: at(0), wall: wall)
        #expect(find(&known, "s") == nil && find(&known, "t") == nil)
        #expect(find(&known, "u") == state())
        #expect(known.changeCount == 0)
    }

    @Test func aProbeProvesThatNothingWasTold() {
        var known = tracked()
        read(&known, "s", state())
        known.proved(at(4000))
        #expect(known.find("s", now: at(8999), wall: wall)?.readAt == at(0))
        known.proved(at(26_000))
        #expect(find(&known, "s", 29_999) != nil)
        // The second line: no longer than a sweep without a read.
        #expect(find(&known, "s", 30_000) == nil)
    }

    @Test func aChangeIsHeardBeforeTheAnswer() {
        var known = tracked()
        let first = known.asked()
        known.changed("s")
        let second = known.asked()
        let other = known.asked()
        known.answered("s", first, state("old"), sentAt: at(0), now: at(1), wall: wall)
        #expect(find(&known, "s") == nil)
        known.answered("s", second, state("new"), sentAt: at(0), now: at(1), wall: wall)
        known.answered("t", other, state("other"), sentAt: at(0), now: at(1), wall: wall)
        #expect(find(&known, "s") == state("new") && find(&known, "t") == state("other"))
        #expect(known.readingCount == 0)
        known.changed("s")
        #expect(find(&known, "s") == nil && find(&known, "t") != nil)
    }

    /// Of several reads under way only those of what has changed are in vain, and those asked for before it.
    @Test func eachChangeIsOfItsOwnSession() {
        var known = tracked()
        let ids = ["a", "b", "c"] as [Identifier]
        let before = ids.map { _ in known.asked() }
        known.changed("a")
        known.changed("b")
        let between = known.asked()
        known.changed("a")
        let last = known.asked()
        for (id, stamp) in zip(ids, before) {
            known.answered(id, stamp, state("before"), sentAt: at(0), now: at(1), wall: wall)
        }
        #expect(find(&known, "a") == nil && find(&known, "b") == nil && find(&known, "c") == state("before"))
        known.answered("a", between, state("between"), sentAt: at(0), now: at(1), wall: wall)
        #expect(find(&known, "a") == nil)
        known.answered("a", last, state("last"), sentAt: at(0), now: at(1), wall: wall)
        #expect(find(&known, "a") == state("last") && known.readingCount == 0)
        // Nothing is under way: what comes next is of later.
        read(&known, "b", state("later"))
        #expect(find(&known, "b") == state("later"))
    }

    @Test func nothingIsKnownOfALinkThatIsLost() {
        var known = KnownSessions(.init(age: .seconds(30), proof: .seconds(5)))
        read(&known, "s", state())
        #expect(find(&known, "s") == nil, "nobody tracks it yet")
        known.forgetAll(isTracking: true)
        read(&known, "s", state())
        let underWay = known.asked()
        known.forgetAll(isTracking: false)
        let untracked = known.asked()
        known.forgetAll(isTracking: true)
        for (id, stamp) in [(Identifier("t"), underWay), ("u", untracked)] {
            known.answered(id, stamp, state(), sentAt: at(0), now: at(0), wall: wall)
        }
        for id in [Identifier("s"), "t", "u"] { #expect(find(&known, id) == nil) }
        let last = known.asked()
        known.linkLost()
        known.forgetAll(isTracking: true)
        known.answered("v", last, state(), sentAt: at(0), now: at(0), wall: wall)
        #expect(find(&known, "v") == nil && known.readingCount == 0)
    }

    @Test func itsEndIsKept() {
        var known = tracked()
        read(&known, "s", state(expires: wall + Milliseconds(2000)))
        // The wall clock was set meanwhile: what is left is what counts.
        let later = known.find("s", now: at(1500), wall: wall + .seconds(3600))
        #expect(later?.state == state(expires: wall + Milliseconds(3_600_500)))
        #expect(find(&known, "s", 2000) == nil)
    }

    @Test func onlyWhatIsThereIsKept() {
        var known = tracked()
        for gone in [SessionState.absent, .unreadable("error")] {
            read(&known, "s", state())
            read(&known, "s", gone)
            #expect(find(&known, "s") == nil)
        }
    }

    @Test func itIsBounded() {
        var known = tracked(entries: 10)
        for number in 0..<100 {
            read(&known, Identifier("s\(number)"), state())
            #expect(known.count <= 10 && find(&known, Identifier("s\(number)")) != nil)
            // Asked for again and again it stays.
            #expect(find(&known, "s0") != nil)
        }
        var small = tracked(bytes: 10_000)
        let long = state(String(repeating: "x", count: 900))
        for number in 0..<100 {
            read(&small, Identifier("s\(number)"), long)
            #expect(small.count <= 10 && find(&small, Identifier("s\(number)")) != nil)
        }
        read(&small, "huge", state(String(repeating: "x", count: 6000)))
        #expect(find(&small, "huge") == nil)
    }
}

/// The same at real gates.
@Suite(.serialized) struct SessionsFromMemoryTests {
    private func store(_ test: GateUnderTest, _ id: String, user: String) throws {
        let now = Int(Date().timeIntervalSince1970 * 1000)
        let value = #"{"user_id":"\#(user)","created_at":\#(now - 1000)}"#
        try test.redis.ask("SET", "session:\(id)", value, "EX", "600")
    }

    private func headers(_ test: GateUnderTest, _ id: String) -> [String] {
        ["Cookie: session_id=\(id)", "Origin: http://\(test.gate.endpoint)"]
    }

    /// The user who is welcomed, or the code of the refusal.
    private func outcome(_ test: GateUnderTest, _ id: String) throws -> String {
        let peer = try WebSocketPeer(
            test.gate.endpoint,
            headers: headers(test, id) + ["Sec-WebSocket-Protocol: portcullis.v1"]
        )
        while true {
            switch try peer.receive() {
            case .text(let text):
                let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
                if json?["type"] as? String == "welcome" { return json?["user"] as? String ?? "" }
            case .close(_, let reason): return reason
            case .end: return "end"
            default: continue
            }
        }
    }

    /// Whatever Redis has told before has reached the gate when the watcher hears what is published behind it.
    private func fence(_ test: GateUnderTest, _ watcher: WebSocketPeer, _ number: Int) throws {
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"watcher"},"data":\#(number)}"#)
        #expect(try watcher.receive() == .text("\(number)"))
    }

    private func reads(_ test: GateUnderTest) throws -> Int {
        let text = try test.redis.ask("INFO", "stats").text ?? ""
        let line = try #require(text.split(separator: "\r\n").first { $0.hasPrefix("total_reads_processed:") })
        return try #require(Int(line.dropFirst("total_reads_processed:".count)))
    }

    @Test(arguments: [1, 3]) func aSessionIsReadOnceForManyHandshakes(loops: Int) throws {
        let test = try GateUnderTest(loops: loops)
        try store(test, "s", user: "carol")
        for _ in 0..<10 { #expect(try outcome(test, "s") == "carol") }
        try test.wait("nine were answered from memory") { test.gate.status.knownSessions == 9 }
        // What is not there is asked for each time.
        for _ in 0..<2 { #expect(try outcome(test, "none") == "unknown_session") }
        try store(test, "none", user: "dave")
        #expect(try outcome(test, "none") == "dave")
    }

    @Test func aChangeIsServedAtOnce() throws {
        let test = try GateUnderTest()
        let watcher = try test.connect("watcher", raw: true)
        for round in 0..<40 {
            try store(test, "s", user: "user\(round)")
            try fence(test, watcher, 3 * round)
            for _ in 0..<2 { #expect(try outcome(test, "s") == "user\(round)") }
            try store(test, "s", user: "other\(round)")
            try fence(test, watcher, 3 * round + 1)
            for _ in 0..<2 { #expect(try outcome(test, "s") == "other\(round)") }
            switch round % 3 {
            case 0: try test.redis.ask("DEL", "session:s")
            case 1: try test.redis.ask("EXPIRE", "session:s", "0")
            default: try test.redis.ask("RENAME", "session:s", "session:gone")
            }
            try fence(test, watcher, 3 * round + 2)
            #expect(try outcome(test, "s") == "unknown_session")
        }
        #expect(test.gate.status.knownSessions > 0)
        // No key is named where all are gone.
        try store(test, "s", user: "last")
        for _ in 0..<2 { #expect(try outcome(test, "s") == "last") }
        try test.redis.ask("FLUSHDB")
        try fence(test, watcher, 1000)
        try test.wait("the gate has read the log anew") { try outcome(test, "s") != "cannot_vouch" }
        #expect(try outcome(test, "s") == "unknown_session")
    }

    /// The subscriber is thrown out in the moment in which a session ends: nobody tells of it.
    @Test func nothingIsServedThatWasKnownBeforeTheSubscription() throws {
        let test = try GateUnderTest()
        try store(test, "s", user: "carol")
        try store(test, "t", user: "dave")
        for _ in 0..<2 {
            #expect(try outcome(test, "s") == "carol")
            #expect(try outcome(test, "t") == "dave")
        }
        let before = test.reports.all.count
        _ = try BlockingConnection(test.redis.url).ask([
            Command("MULTI"), Command("CLIENT", "KILL", "TYPE", "pubsub"), Command("DEL", "session:s"), Command("EXEC"),
        ])
        try test.wait("the gate vouches again") {
            test.reports.all.dropFirst(before).contains { if case .vouching = $0 { true } else { false } }
        }
        try test.awaitReady()
        #expect(try outcome(test, "s") == "unknown_session")
        #expect(try outcome(test, "t") == "dave")
    }

    /// A session changes while it is read: the answer comes late, behind the news.
    @Test func aChangeDuringTheReadIsNotMissed() throws {
        let redis = try RedisServer()
        let proxy = try FaultProxy(to: redis.socket)
        let test = try GateUnderTest(redis: redis, loops: 1) { $0.redis = proxy.url }
        let watcher = try test.connect("watcher", raw: true)
        for round in 0..<3 {
            let id = "s\(round)"
            try store(test, id, user: "before")
            try test.redis.ask("CONFIG", "RESETSTAT")
            proxy.set(.stall, .command, .toGate)
            let socket = try BlockingSocket(test.gate.endpoint, timeout: 10_000)
            let lines =
                ["GET /ws HTTP/1.1", "Host: \(test.gate.endpoint)", "Connection: Upgrade", "Upgrade: websocket"]
                + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] + headers(test, id)
            try socket.write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
            try test.wait("Redis has read it") {
                try redis.ask("INFO", "commandstats").text?.contains("cmdstat_pttl:") ?? false
            }
            try store(test, id, user: "behind")
            try fence(test, watcher, round)
            proxy.set(.pass)
            #expect(try outcome(test, id) == "behind")
            #expect(try outcome(test, id) == "behind")
            // Whoever came in as somebody else is out again.
            var all: [UInt8] = []
            while case let more = try socket.read(), !more.isEmpty { all += more }
            #expect(all.suffix(13).elementsEqual("session_ended".utf8))
        }
    }

    /// Thirty sessions are asked for in one turn: Redis sees one write of the gate, and what the gate says each second besides.
    @Test func allReadsOfATurnAreOneWrite() throws {
        let test = try GateUnderTest(loops: 1) { $0.reportsAdmissions = true }
        for number in 0..<30 { try store(test, "s\(number)", user: "user\(number)") }
        let before = test.gate.status.connections
        let sockets = try (0..<30).map { _ in try BlockingSocket(test.gate.endpoint, timeout: 10_000) }
        try test.wait("all are accepted") { test.gate.status.connections == before + 30 }
        let stop = Doorstop(test, at: 1)
        let first = try BlockingSocket(test.gate.endpoint, timeout: 10_000)
        func head(_ headers: [String]) -> [UInt8] {
            let lines =
                ["GET /ws HTTP/1.1", "Host: \(test.gate.endpoint)", "Connection: Upgrade", "Upgrade: websocket"]
                + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] + headers
            return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        }
        try first.write(head(["Authorization: Bearer \(test.token("alice"))"]))
        try stop.waitUntilHeld()
        let start = try reads(test)
        for (number, socket) in sockets.enumerated() { try socket.write(head(headers(test, "s\(number)"))) }
        stop.release()
        for socket in sockets { #expect(String(decoding: try socket.read(), as: UTF8.self).hasPrefix("HTTP/1.1 101")) }
        #expect(try reads(test) - start < 10)
    }
}
