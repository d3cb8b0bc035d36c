import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import TestKit
import Testing

/// Pages of the log and of the standing decisions, as a gate reads them at its start and anew while it serves.
@Suite(.serialized) struct LogPageTests {
    /// Some thousand decisions as the append script leaves them, more than two pages of each; every tenth in an unusual form.
    private static let fill = """
        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        for number = 1, tonumber(ARGV[1]) do
          local id, space = string.format('01JD0000000000000%010d', number), number % 10 == 0 and ' , "more":[1]' or ''
          local text = '{"v":1,"event":"' .. id .. '","type":"revoke","select":{"token":"t' .. number .. '"}' .. space .. '}'
          redis.call('XADD', KEYS[1], '*', 'e', text, 'i', id, 'o', string.format('%.0f', now))
          id = 'block-' .. number
          text = '{"v":1,"event":"' .. id .. '","type":"block","select":{"user":"u' .. number .. '"}' .. space .. '}'
          redis.call('HSET', KEYS[2], id, '{"o":' .. string.format('%.0f', now) .. ',"event":' .. text .. '}')
        end
        """

    private static let count = 12_345

    private func filled() throws -> RedisServer {
        let redis = try RedisServer()
        try redis.ask("EVAL", Self.fill, "2", "portcullis:log", "portcullis:standing", String(Self.count))
        return redis
    }

    private func expectEnforced(_ test: GateUnderTest, _ comment: Comment) throws {
        for number in [1, 10, 4999, 5000, 5001, 9999, 10_000, 10_001, Self.count] {
            #expect(try test.connect("x", ["jti": "\"t\(number)\""], raw: true).status == 401, comment)
            #expect(try test.connect("u\(number)", raw: true).status == 403, comment)
        }
        #expect(try test.connect("x", ["jti": "\"t\(Self.count + 1)\""], raw: true).status == 101, comment)
        #expect(try test.connect("u0", raw: true).status == 101, comment)
    }

    @Test func everyRowIsInForceFromTheFirstHandshakeOn() throws {
        let test = try GateUnderTest(redis: try filled())
        #expect(test.gate.status.standing == 2 * Self.count)
        try expectEnforced(test, "at the start")
        #expect(test.reports.all.allSatisfy { if case .logEntryRejected = $0 { false } else { true } })
    }

    /// What is refused is told with its place, wherever it stands among what is not.
    @Test func badRowsAmongGoodOnesAreTold() throws {
        let redis = try filled()
        try redis.ask("XADD", "portcullis:log", "*", "e", #"{"v":2,"type":"revoke"}"#, "i", "bad", "o", "1")
        try redis.ask("XADD", "portcullis:log", "*", "x", "y")
        let now = String(Int64(Date().timeIntervalSince1970 * 1000))
        let late = #"{"v":1,"event":"late","type":"revoke","select":{"token":"late"}}"#
        try redis.ask("XADD", "portcullis:log", "*", "e", late, "i", "late", "o", now)
        let other = #"{"v":1,"event":"other","type":"revoke","select":{"token":"hidden"}}"#
        try redis.ask("XADD", "portcullis:log", "*", "e", other, "i", "hidden", "o", now)
        try redis.ask("HSET", "portcullis:standing", "bad", #"{"o":-1,"event":{}}"#)
        let test = try GateUnderTest(redis: redis)
        let rejected = test.reports.all.count { if case .logEntryRejected = $0 { true } else { false } }
        #expect(rejected == 4)
        try expectEnforced(test, "beside bad rows")
        #expect(try test.connect("x", ["jti": "\"late\""], raw: true).status == 401)
        #expect(try test.connect("x", ["jti": "\"hidden\""], raw: true).status == 101)
    }

    /// All is read anew while clients are served: what is held stays in force and tells nobody, what is new is enforced.
    @Test func aReadingWhileServingTellsWhatIsNewAlone() throws {
        let test = try GateUnderTest(redis: try filled())
        let (victim, bystander) = (try test.connect("victim"), try test.connect("bystander"))
        #expect(victim.status == 101 && bystander.status == 101)
        let vouched = test.gate.status.position
        // A decision that comes with another log: the epoch has changed.
        let json = #"{"v":1,"event":"new","type":"block","select":{"user":"victim"}}"#
        let now = String(Int64(Date().timeIntervalSince1970 * 1000))
        try test.redis.ask("XADD", "portcullis:log", "*", "e", json, "i", "new", "o", now)
        try test.redis.ask("SET", "portcullis:epoch", "another")
        #expect(try victim.receiveClose() == .close(4423, "blocked"))
        try test.wait("the tail is reached") { test.gate.status.position != vouched }
        try expectEnforced(test, "after the second reading")
        try bystander.send(raw: [0x89, 0x80, 0, 0, 0, 0])
        // What is in an unusual form may be told again; a connection that it matches is none.
        for case .decided(_, let event, let matched, _, _) in test.reports.all {
            #expect(event == "new" || matched == 0 && event.bytes.last == UInt8(ascii: "0"), "\(event)")
        }
    }
}
