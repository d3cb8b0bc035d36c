import PortcullisCore
import PortcullisRedis
import TestKit
import Testing

/// The places of a user's connections on several gates.
@Suite(.serialized) struct AdmissionScriptTests {
    private let server: RedisServer
    private let connection: BlockingConnection
    private let keys = Keys(prefix: "t:")
    private let first = AdmissionScript.Gate(node: "one", instance: 0xA1, lease: .seconds(60))
    private let second = AdmissionScript.Gate(node: "two", instance: 0xB2, lease: .seconds(60))

    init() throws {
        server = try RedisServer()
        connection = try BlockingConnection(server.url)
    }

    private func name(_ gate: AdmissionScript.Gate, _ serial: UInt64) -> ConnectionID {
        ConnectionID(instance: gate.instance, serial: serial)
    }

    private func admit(
        _ gate: AdmissionScript.Gate,
        _ serial: UInt64,
        cap: Int,
        _ policy: AdmissionScript.Policy = .refuse
    ) throws -> AdmissionScript.Answer? {
        let command = AdmissionScript.admit(
            "alice",
            name(gate, serial),
            cap: cap,
            policy: policy,
            of: gate,
            longest: .seconds(3600),
            keys: keys
        )
        return AdmissionScript.Answer(try connection.ask(command))
    }

    private func ask(_ words: String...) throws -> RESPValue {
        try connection.ask(Command(words.map { Array($0.utf8) }))
    }

    private func members() throws -> [String] {
        (try ask("ZRANGE", "t:user:alice", "0", "-1").array ?? []).compactMap(\.text)
    }

    private func member(_ gate: AdmissionScript.Gate, _ serial: UInt64) -> String {
        "\(String(gate.instance, radix: 16))/\(name(gate, serial))"
    }

    @Test func theCapHoldsOverAllGates() throws {
        #expect(try admit(first, 1, cap: 2) == .admitted)
        #expect(try admit(second, 1, cap: 2) == .admitted)
        #expect(try admit(first, 2, cap: 2) == .full)
        #expect(try admit(second, 2, cap: 2) == .full)
        #expect(try members() == [member(first, 1), member(second, 1)])
        // A repeat is no second one.
        #expect(try admit(first, 1, cap: 2) == .admitted)
        _ = try connection.ask(AdmissionScript.release("alice", name(second, 1), of: second, keys: keys))
        #expect(try admit(first, 2, cap: 2) == .admitted)
        #expect(try admit(first, 3, cap: 2) == .full)
        #expect(try ask("GET", "t:inst:a1").text == "one")
        #expect((1...120_000).contains(try ask("PTTL", "t:inst:a1").integer ?? 0))
        #expect((3_590_000...3_600_000).contains(try ask("PTTL", "t:user:alice").integer ?? 0))
    }

    private func restore(
        _ gate: AdmissionScript.Gate,
        _ serial: UInt64,
        cap: Int,
        _ policy: AdmissionScript.Policy = .refuse
    ) throws -> AdmissionScript.Answer? {
        let command = AdmissionScript.restore(
            "alice",
            name(gate, serial),
            admitted: WallTime(milliseconds: 1_700_000_000_000),
            cap: cap,
            policy: policy,
            of: gate,
            longest: .seconds(3600),
            keys: keys
        )
        return AdmissionScript.Answer(try connection.ask(command))
    }

    @Test func theOldestMakesRoomAndItsGateIsTold() throws {
        let listener = try BlockingConnection(server.url)
        _ = try listener.ask(Command("SUBSCRIBE", "t:ctl:one"))
        for serial in 1...3 { #expect(try admit(first, UInt64(serial), cap: 3, .replace) == .admitted) }
        #expect(try admit(second, 9, cap: 3, .replace) == .admitted)
        #expect(try members() == [member(first, 2), member(first, 3), member(second, 9)])
        // Where the cap was lowered, as many as are too many.
        #expect(try admit(second, 10, cap: 1, .replace) == .admitted)
        #expect(try members() == [member(second, 10)])
        for serial in 1...3 {
            let push = Push(try listener.receive(0))
            let text = #"{"v":1,"replaced":"\#(name(first, UInt64(serial)))"}"#
            #expect(push == .message(channel: Array("t:ctl:one".utf8), payload: Array(text.utf8)))
        }
    }

    @Test func aGateWithoutALeaseHoldsNoPlaces() throws {
        for serial in 1...2 { #expect(try admit(first, UInt64(serial), cap: 2) == .admitted) }
        #expect(try admit(second, 1, cap: 2) == .full)
        _ = try connection.ask(AdmissionScript.end(first, keys: keys))
        #expect(try admit(second, 1, cap: 2) == .admitted)
        #expect(try members() == [member(second, 1)])
        // What nobody understands counts for nobody.
        _ = try ask("ZADD", "t:user:alice", "1", "nonsense", "2", "zz/00")
        #expect(try admit(second, 2, cap: 2) == .admitted)
        #expect(try members() == [member(second, 1), member(second, 2)])
    }

    @Test func whatWasLostIsPutBackOnce() throws {
        #expect(try admit(first, 1, cap: 1) == .admitted)
        _ = try ask("FLUSHALL")
        _ = try connection.ask(AdmissionScript.renew(first, keys: keys))
        for _ in 0..<2 { #expect(try restore(first, 1, cap: 1) == .admitted) }
        #expect(try members() == [member(first, 1)])
        #expect((3_590_000...3_600_000).contains(try ask("PTTL", "t:user:alice").integer ?? 0))
        #expect(try admit(second, 1, cap: 1) == .full)
        // It was admitted: whatever the cap is by now.
        #expect(try restore(first, 2, cap: 1) == .admitted)
        #expect(try members() == [member(first, 1), member(first, 2)])
    }

    /// The message that said so was lost: who asks for the place again learns it.
    @Test func whoWasReplacedDoesNotGetThePlaceBack() throws {
        for serial in 1...2 { #expect(try admit(first, UInt64(serial), cap: 2, .replace) == .admitted) }
        #expect(try admit(second, 9, cap: 2, .replace) == .admitted)
        #expect(try restore(first, 1, cap: 2, .replace) == .full)
        #expect(try restore(first, 2, cap: 2, .replace) == .admitted)
        #expect(try members() == [member(first, 2), member(second, 9)])
        // The places of a gate that is gone are free.
        _ = try connection.ask(AdmissionScript.end(second, keys: keys))
        #expect(try restore(first, 1, cap: 2, .replace) == .admitted)
    }

    @Test func theOrderIsThatOfTheAdmissions() throws {
        // A clock that went back: what is newer is still behind.
        _ = try connection.ask(AdmissionScript.renew(second, keys: keys))
        _ = try ask("ZADD", "t:user:alice", "4000000000000000", member(second, 1))
        #expect(try admit(first, 1, cap: 5) == .admitted)
        #expect(try members() == [member(second, 1), member(first, 1)])
    }
}
