import Foundation
import Logging
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import Synchronization
import TestKit
import Testing

@testable import PortcullisControl

/// Whose tokens they are: a few keys, and the server that shows them.
final class Issuer: Sendable {
    private struct Key {
        /// What it is called in the set and in tokens.
        var kid: Identifier?
        let pair: KeyGenerator.Pair
        let algorithm: Algorithm
    }

    let server: KeyServer
    private let keys = Mutex<[Key]>([])

    init(_ kids: [Identifier?]) throws {
        server = try KeyServer()
        for kid in kids { try add(kid) }
    }

    var url: String { server.url() }

    func add(_ kid: Identifier?, _ algorithm: Algorithm = .eddsa) throws {
        let pair = try KeyGenerator.pair(algorithm)
        keys.withLock { $0.append(Key(kid: kid, pair: pair, algorithm: algorithm)) }
        try publish()
    }

    /// Takes a key out of the set. Tokens by it can be made no more, but what was made may be shown.
    func remove(_ kid: Identifier) throws {
        server.answer(.body(try jwks(where: { $0 != kid })))
    }

    func rename(_ kid: Identifier, to name: Identifier) throws {
        server.answer(.body(try jwks(naming: { $0 == kid ? name : $0 })))
    }

    func publish() throws {
        server.answer(.body(try jwks()))
    }

    /// The set as it is shown.
    func jwks(
        naming: (Identifier?) -> Identifier? = { $0 },
        where shows: (Identifier?) -> Bool = { _ in true }
    ) throws -> [UInt8] {
        let all = keys.withLock { $0 }
        let shown = try all.filter { shows($0.kid) }.map { key in
            let set = try JSONSerialization.jsonObject(with: Data(key.pair.publicJWKS)) as? [String: Any]
            var jwk = (set?["keys"] as? [[String: Any]])?.first ?? [:]
            jwk["kid"] = naming(key.kid)?.description
            return jwk
        }
        return [UInt8](try JSONSerialization.data(withJSONObject: ["keys": shown]))
    }

    /// A token by the key of that name.
    /// - Parameter other: what the token calls the key, where that is not its name.
    func token(_ name: Identifier?, kid other: Identifier? = nil, issuer: String? = nil) throws -> String {
        let key = try #require(keys.withLock { $0.last { $0.kid == name } })
        let signing = try SigningKey.pem(key.pair.privatePEM, algorithm: key.algorithm, kid: other ?? key.kid)
        return try Self.token(by: TokenSigner(signing), issuer: issuer)
    }

    static func token(by signer: TokenSigner, issuer: String? = nil) throws -> String {
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        var claims = [
            (name: "sub", json: TokenSigner.json("alice")), ("iat", TokenSigner.json(now)),
            ("exp", TokenSigner.json(now + .seconds(600))),
        ]
        if let issuer { claims.append(("iss", TokenSigner.json(Identifier(issuer)))) }
        return String(decoding: try signer.sign(claims), as: UTF8.self)
    }
}

/// A gate as `serve` makes it, with a Redis of its own, whose keys are fetched.
final class Stage: Sendable {
    struct Vain: Error {
        let description: String
    }

    let settings: Settings
    private let redis: RedisServer
    private let folder: TemporaryFolder
    private let gate: Gate
    private let refreshing: Task<Void, any Error>
    private let written = Written()

    private final class Written: Sendable {
        let lines = Mutex<[String]>([])
    }

    /// - Parameter patience: how long the issuer is waited for; short where it is silent.
    init(
        _ flags: [String: String],
        state: StateDirectory? = nil,
        patience: Duration = .seconds(20)
    ) async throws {
        redis = try RedisServer()
        folder = try TemporaryFolder()
        var all = [
            "redis.url": "unix://\(redis.socket)", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "loops": "2",
        ]
        all.merge(flags) { $1 }
        settings = try Settings.load(flags: all)
        let write: @Sendable (String) -> Void = { [written] line in written.lines.withLock { $0.append(line) } }
        let log = ConsoleLog(level: .info, format: .text, now: { 0 }, write: write)
        let logger = log.logger(label: "test")
        let directory = state ?? folder.state
        let tokens = try TokenKeys.load(settings, state: directory)
        var fetcher = KeyFetcher()
        fetcher.limits.whole = patience
        let keys = KeyRefresher(tokens, settings.keys, state: directory, logger: logger, fetcher: fetcher)
        await keys.begin()
        let configuration = try GateAssembly.configuration(
            settings,
            redis: redis.url,
            tokens: keys.policy,
            version: "test"
        )
        gate = try GateService(configuration, keys: keys, logger: logger).gate
        refreshing = Task { try await keys.run() }
        try await wait("the gate is ready") { gate.status.isReady }
    }

    /// Where a test has failed before its end.
    deinit {
        refreshing.cancel()
        gate.stop()
    }

    func end() async {
        refreshing.cancel()
        _ = await refreshing.result
        gate.stop()
        redis.stop()
    }

    /// Waits for a state that only a look shows, and leaves the threads that tasks run on to the tasks.
    func wait(_ what: String, _ condition: () throws -> Bool) async throws {
        for _ in 0..<2000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Vain(description: "waited in vain: \(what); the log: \(written.lines.withLock { $0 }.suffix(8))")
    }

    func connect(_ token: String, raw: Bool = false) throws -> WebSocketPeer {
        var headers = ["Authorization: Bearer \(token)"]
        if !raw { headers.append("Sec-WebSocket-Protocol: portcullis.v1") }
        let peer = try WebSocketPeer(gate.endpoint, headers: headers)
        #expect(peer.status == 101)
        return peer
    }

    func status(_ token: String) throws -> Int {
        try WebSocketPeer(gate.endpoint, headers: ["Authorization: Bearer \(token)"]).status
    }

    /// The code of a refusal.
    func code(_ token: String) throws -> String {
        let peer = try WebSocketPeer(gate.endpoint, headers: ["Authorization: Bearer \(token)"])
        let problem = try? JSONSerialization.jsonObject(with: Data(peer.body.utf8)) as? [String: Any]
        return problem?["code"] as? String ?? "status \(peer.status)"
    }

    /// How many lines of the log have a text in them.
    func lines(_ text: String) -> Int {
        written.lines.withLock { $0 }.count { $0.contains(text) }
    }

    /// How many connections the gate says it has closed for want of their key.
    var closed: Int {
        written.lines.withLock { $0 }.filter { $0.contains("withdrawn key were closed") }
            .compactMap { $0.firstMatch(of: /closed=(\d+)/).flatMap { Int($0.1) } }
            .reduce(0, +)
    }
}
