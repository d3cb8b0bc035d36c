import Foundation
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// After a crowd has been closed the memory of the gate's process comes back, time and again.
@Suite(.serialized, .enabled(if: FileManager.default.isExecutableFile(atPath: GateProcess.program)))
struct MemoryReturnsTests {
    private static let secret = Array("a secret that is long enough for HS256, really".utf8)
    private static let crowd = 5000
    private static let rounds = 3

    private let signer: TokenSigner

    init() throws {
        signer = TokenSigner(try SigningKey(secret: Self.secret.span, algorithm: .hs256, source: "the test"))
    }

    @Test func afterAMassClose() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        // The gate's own descriptors are another process' own.
        try #require(limit.rlim_cur > UInt(Self.crowd) + 1000, "the limit of open files is too low: ulimit -n")
        let redis = try RedisServer()
        // Nobody answers a ping, and a crowd may be long in coming.
        let gate = try GateProcess(redis, secret: Self.secret, settings: "limits: {heartbeat: 10m}\n")
        let endpoint = try gate.endpoint()
        // What is made once, by the first connections, is no part of a crowd.
        try round(endpoint, redis, 300)
        var before = try resident(gate)
        for number in 1...Self.rounds {
            let most = try round(endpoint, redis, Self.crowd) { try resident(gate) }
            // Memory is given back once in ten seconds at most.
            var left = try resident(gate)
            for _ in 0..<2500 where left - before > (most - before) / 2 {
                Thread.sleep(forTimeInterval: 0.01)
                left = try resident(gate)
            }
            #expect(most - before > Self.crowd * 200)
            #expect(left - before <= (most - before) / 2)
            if number == 1 { before = left }
        }
    }

    /// A crowd comes, and a decision closes it.
    @discardableResult
    private func round<Value>(
        _ endpoint: Endpoint,
        _ redis: RedisServer,
        _ count: Int,
        _ look: () throws -> Value = {}
    ) throws -> Value {
        let now = Date().timeIntervalSince1970
        let user = UUID().uuidString
        var peers: [WebSocketPeer] = []
        for number in 0..<count {
            let claims = [
                ("sub", "\"\(user)\""), ("jti", "\"\(UUID().uuidString)\""), ("sid", "\"s\(number)\""),
                ("exp", String(format: "%.0f", now + 600)),
            ]
            let token = try signer.sign(claims.map { (name: $0.0, json: Array($0.1.utf8)) })
            let header = "Authorization: Bearer \(String(decoding: token, as: UTF8.self))"
            peers.append(try WebSocketPeer(endpoint, headers: [header]))
        }
        #expect(peers.allSatisfy { $0.status == 101 })
        let value = try look()
        try redis.ask("PUBLISH", "portcullis:events", #"{"v":1,"type":"disconnect","select":{"user":"\#(user)"}}"#)
        for peer in peers { _ = try peer.receiveClose() }
        return value
    }

    /// What the process has to itself: pages of its program come and go as they are needed.
    private func resident(_ gate: GateProcess) throws -> Int {
        let words = try String(contentsOfFile: "/proc/\(gate.pid)/statm", encoding: .utf8).split(separator: " ")
        let pages = words.count > 2 ? (Int(words[1]) ?? 0) - (Int(words[2]) ?? 0) : 0
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
