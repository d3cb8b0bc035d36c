import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

/// `redis.url`, `redis.ca_file` and `redis.wait_replicas`, as commands and gates use them.
@Suite(.serialized) struct RedisSettingsTests {
    @Test func aSecuredRedis() throws {
        let certificates = try Certificates()
        let port = try FreePort.take()
        let redis = try RedisServer([
            "--tls-port", String(port), "--bind", "127.0.0.1", "--tls-auth-clients", "no",
            "--tls-cert-file", certificates.certificate(.good), "--tls-key-file", certificates.key(.good),
            "--tls-ca-cert-file", certificates.authority,
        ])
        let url = "rediss://127.0.0.1:\(port)"
        let settings = try Settings.load(flags: ["redis.url": url, "redis.ca_file": certificates.authority])
        let configured = try #require(try RedisPlace.configured(settings))
        #expect(throws: Never.self) { try RedisPlace.awaitAnswer(configured) }
        // Without the file it is a stranger, and that is said at once: waiting would change nothing.
        let stranger = try #require(try RedisPlace.configured(try Settings.load(flags: ["redis.url": url])))
        #expect {
            try RedisPlace.awaitAnswer(stranger, patience: 600_000)
        } throws: {
            "\($0)".hasSuffix("put that authority's certificate into redis.ca_file.")
        }
        withExtendedLifetime(redis) {}
    }

    @Test func aFileThatIsOfNoUse() throws {
        let certificates = try Certificates()
        let file = certificates.authority
        for flags in [
            ["redis.ca_file": file], ["redis.ca_file": file, "redis.url": "redis://127.0.0.1"],
            ["redis.ca_file": file, "redis.url": "unix:///r.sock"],
        ] {
            #expect {
                try RedisPlace.configured(try Settings.load(flags: flags))
            } throws: {
                "\($0)".contains("write rediss:// there, or remove redis.ca_file")
            }
        }
        #expect {
            try RedisPlace.configured(
                try Settings.load(flags: ["redis.url": "rediss://h", "redis.ca_file": certificates.key(.good)])
            )
        } throws: {
            "\($0)".hasPrefix("redis.ca_file: \(certificates.key(.good)) can't be used: ")
        }
    }

    /// The decision stands, and the receipt says how many replicas have it.
    @Test func appendsAreCounted() throws {
        let port = try FreePort.take()
        let redis = try RedisServer(["--port", String(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"])
        let settings = try Settings.load(flags: ["redis.url": "unix://\(redis.socket)", "redis.wait_replicas": "1"])
        let client = try DecisionClient(try BlockingConnection(redis.url), settings)
        func revoke() throws -> DecisionClient.Replicas? {
            let id = EventID.make(at: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
            let decision = Decision.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append))
            guard case .logged(_, _, let replicas) = try client.send(Event(id: id, decision: decision)) else {
                return nil
            }
            return replicas
        }
        #expect(try revoke() == .counted(0))
        let replica = try RedisServer(["--replicaof", "127.0.0.1", String(port)])
        // As the primary sees it: the replica says so before its primary counts it.
        var isFollowed = false
        for _ in 0..<300 where !isFollowed {
            try redis.ask("SET", "written", "1")
            isFollowed = try BlockingConnection(redis.url).ask(Command("WAIT", "1", "100")) == .integer(1)
        }
        try #require(isFollowed, "the replica is in step")
        #expect(try revoke() == .counted(1))
        #expect(try replica.ask("XLEN", "portcullis:log") == .integer(2))
        let plain = try DecisionClient(
            try BlockingConnection(redis.url),
            try Settings.load(flags: ["redis.url": "unix://\(redis.socket)"])
        )
        #expect(plain.waitReplicas == 0)
    }
}
