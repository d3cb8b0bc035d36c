import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import PortcullisWire
import Synchronization
import TestKit
import Testing

/// A gate whose Redis is reached by TLS, found by sentinels, or has replicas.
@Suite(.serialized) struct PrimaryTests {
    private func append(_ url: RedisURL, revoking user: String) throws {
        let id = Identifier(UUID().uuidString)
        let revocation = Decision.Revocation(select: Selector(ids: [.user: Identifier(user)]), issuedBefore: .append)
        let event = Event(id: id, decision: .revoke(revocation))
        let command = AppendScript.command(
            event,
            json: EventCodec.encode(event, roles: .standard),
            id: id,
            epoch: "test",
            keys: Keys(),
            policy: AppendScript.Policy()
        )
        guard case .appended = AppendScript.Answer(try BlockingConnection(url).ask(command)) else {
            throw GateUnderTest.Vain(description: "not appended")
        }
    }

    private func has(_ test: GateUnderTest, _ matches: (GateReport) -> Bool) -> Bool {
        test.reports.all.contains(where: matches)
    }

    private func securedRedis(
        _ certificates: Certificates,
        _ server: Certificates.Server
    ) throws -> (RedisServer, RedisURL) {
        let port = try FreePort.take()
        let redis = try RedisServer([
            "--tls-port", String(port), "--bind", "127.0.0.1", "--tls-auth-clients", "no",
            "--tls-cert-file", certificates.certificate(server), "--tls-key-file", certificates.key(server),
            "--tls-ca-cert-file", certificates.authority,
        ])
        var url = try RedisURL("rediss://127.0.0.1:\(port)")
        url.trust = try TLSContext(authorities: certificates.authority)
        return (redis, url)
    }

    @Test func byTLS() throws {
        let certificates = try Certificates()
        let (redis, url) = try securedRedis(certificates, .good)
        let test = try GateUnderTest(redis: redis) { $0.redis = url }
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        try append(url, revoking: "alice")
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
    }

    @Test(arguments: [
        (Certificates.Server.stranger, "put that authority's certificate into redis.ca_file."),
        (.expired, "renew it there."),
        (.elsewhere, "a name that stands in the certificate."),
    ])
    func aRedisThatIsNotTrusted(_ server: Certificates.Server, _ advice: String) throws {
        let certificates = try Certificates()
        let (redis, url) = try securedRedis(certificates, server)
        let test = try GateUnderTest(redis: redis, isReady: false) { $0.redis = url }
        try test.wait("the loss is told") {
            has(test) { if case .redisLost(let reason) = $0 { reason.hasSuffix(advice) } else { false } }
        }
        #expect(!test.gate.status.isReady)
        #expect(try redis.ask("DBSIZE") == .integer(0))
    }

    /// The gate follows to the new primary; what is appended there reaches the clients that it has, and it goes on admitting.
    @Test(arguments: [1, 3]) func followsAFailover(_ sentinels: Int) throws {
        let trio = try SentinelTrio(sentinels: sentinels)
        let test = try GateUnderTest(redis: trio.first) {
            $0.redis = trio.url
            // A client is not to be frozen out by the failover itself: it lasts seconds.
            $0.lease = .seconds(20)
        }
        let (alice, bob) = (try test.connect("alice"), try test.connect("bob"))
        _ = try alice.receive(type: "welcome")
        _ = try bob.receive(type: "welcome")
        try append(trio.url, revoking: "bob")
        #expect(try bob.receiveClose() == .close(4410, "revoked"))
        let before = test.reports.all.count
        try trio.failOver()
        try append(trio.url, revoking: "alice")
        #expect(try alice.receiveClose() == .close(4410, "revoked"))
        try test.wait("the gate vouches again") {
            test.gate.status.isReady
                && test.reports.all.dropFirst(before).contains { if case .vouching = $0 { true } else { false } }
        }
        #expect(try test.connect("carol").status == 101)
        // What the old primary had is still known.
        let old = try test.token("bob", issued: Date().timeIntervalSince1970 - 60)
        #expect(try test.connect("bob", token: old).status == 401)
    }

    /// Two of three sentinels are gone: the one that is left vouches for nobody.
    @Test func aMinorityDoesNotVouch() throws {
        let trio = try SentinelTrio(sentinels: 3)
        let test = try GateUnderTest(redis: trio.first) {
            $0.redis = trio.url
            $0.lease = .seconds(6)
        }
        trio.stop(sentinel: 0)
        try test.wait("the loss of a sentinel is told") {
            has(test) { if case .sentinelLost = $0 { true } else { false } }
        }
        #expect(!has(test) { if case .notVouching = $0 { true } else { false } })
        trio.stop(sentinel: 2)
        try test.wait("it does not vouch") { !test.gate.status.isReady && test.gate.status.isFrozen }
        #expect(try test.connect("alice").status == 503)
        try test.wait("it says why") {
            has(test) {
                if case .notVouching(let reason) = $0 { reason.contains("majority of the sentinels") } else { false }
            }
        }
    }

    /// Sentinels with a password get that of Redis.
    @Test func sentinelsWithAPassword() throws {
        let trio = try SentinelTrio(sentinels: 1, password: "hunter2")
        let test = try GateUnderTest(redis: trio.first) { $0.redis = trio.url }
        #expect(try test.connect("alice").status == 101)
        #expect(!has(test) { if case .sentinelLost = $0 { true } else { false } })
    }

    // MARK: - Replicas

    @Test(arguments: [0, 1]) func saysWhatHoldsInAFailover(_ least: Int) throws {
        let test = try GateUnderTest(
            redis: try RedisServer(["--min-replicas-to-write", String(least), "--min-replicas-max-lag", "7"]),
            isReady: least == 0
        )
        let expected: ReplicationBound = least == 0 ? .unbounded : .bounded(.seconds(12))
        try test.wait("the bound is told") {
            has(test) { if case .replication(expected, hasSentinels: false) = $0 { true } else { false } }
        }
    }

    /// CONFIG may be forbidden: it is said, and the gate goes on.
    @Test func configIsForbidden() throws {
        let test = try GateUnderTest(redis: try RedisServer(["--rename-command", "CONFIG", "''"]))
        #expect(has(test) { if case .replication(.unknown, _) = $0 { true } else { false } })
    }

    /// An adopted event waits for its replicas; those that are missing are told.
    @Test func waitsForReplicas() throws {
        let port = try FreePort.take()
        let redis = try RedisServer(["--port", String(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"])
        let test = try GateUnderTest(redis: redis) { $0.waitReplicas = 1 }
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        try test.wait("the missing replica is told") {
            has(test) { if case .replicasMissing(asked: 1, have: 0, nil) = $0 { true } else { false } }
        }
        let replica = try RedisServer(["--replicaof", "127.0.0.1", String(port)])
        try test.wait("the replica is in step") {
            // As the primary sees it: the replica says so before its primary counts it.
            try redis.ask("SET", "written", "1")
            return try BlockingConnection(redis.url).ask(Command("WAIT", "1", "100")) == .integer(1)
        }
        let before = test.reports.all.count
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"bob"}}"#)
        try test.wait("the event is adopted") { try test.redis.ask("XLEN", "portcullis:log") == .integer(2) }
        let told = test.reports.all.dropFirst(before)
        #expect(!told.contains { if case .replicasMissing = $0 { true } else { false } })
        withExtendedLifetime(replica) {}
    }
}
