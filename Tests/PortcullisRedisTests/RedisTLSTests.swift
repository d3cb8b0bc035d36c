import Foundation
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

/// `rediss://` against a real redis-server with certificates of the test's own.
@Suite(.serialized) struct RedisTLSTests {
    let certificates: Certificates

    init() throws {
        certificates = try Certificates()
    }

    private func redis(
        _ server: Certificates.Server,
        clients: String = "no",
        _ more: [String] = []
    ) throws -> (RedisServer, RedisURL) {
        let port = try FreePort.take()
        let redis = try RedisServer(
            [
                "--tls-port", String(port), "--bind", "127.0.0.1", "--tls-auth-clients", clients,
                "--tls-cert-file", certificates.certificate(server), "--tls-key-file", certificates.key(server),
                "--tls-ca-cert-file", certificates.authority,
            ] + more
        )
        var url = try RedisURL("rediss://127.0.0.1:\(port)")
        url.trust = try TLSContext(authorities: certificates.authority)
        return (redis, url)
    }

    @Test(arguments: [[], ["--tls-protocols", "TLSv1.2"]])
    func asksAndAnswers(_ more: [String]) throws {
        let (redis, url) = try redis(.good, more)
        let connection = try BlockingConnection(url)
        // More than one record in both directions.
        let value = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(try connection.ask(Command([Array("SET".utf8), [1], value])) == .status(Array("OK".utf8)))
        #expect(try connection.ask(Command([Array("GET".utf8), [1]])) == .bytes(value))
        #expect(try redis.ask("DBSIZE") == .integer(1))
    }

    /// Redis waits longer than the connection's own patience: that is what `extra` is for.
    @Test func waitsForABlockingCommand() throws {
        let (redis, url) = try redis(.good)
        let connection = try BlockingConnection(url, timeout: 2000)
        #expect(try connection.ask(Command("BLPOP", "none", "2.5"), extra: 30_000) == .null)
        #expect {
            try connection.ask(Command("BLPOP", "none", "0"))
        } throws: {
            "\($0)" == "Redis did not answer in time."
        }
        withExtendedLifetime(redis) {}
    }

    @Test(arguments: [
        (Certificates.Server.stranger, "put that authority's certificate into redis.ca_file."),
        (.expired, "has expired: renew it there."),
        (.elsewhere, "name it in redis.url by a name that stands in the certificate."),
    ])
    func refusesTheServer(_ server: Certificates.Server, _ advice: String) throws {
        let (redis, url) = try redis(server)
        #expect {
            try BlockingConnection(url)
        } throws: { error in
            let failure = error as? BlockingConnection.Failure
            // Trying again would change nothing.
            return failure?.isRefusal == true && failure?.description.hasSuffix(advice) == true
        }
        withExtendedLifetime(redis) {}
    }

    /// The system's authorities know nothing of the test's.
    @Test func theSystemsAuthorities() throws {
        var (redis, url) = try redis(.good)
        url.trust = nil
        #expect {
            try BlockingConnection(url)
        } throws: {
            "\($0)".hasSuffix("put that authority's certificate into redis.ca_file.")
        }
        withExtendedLifetime(redis) {}
    }

    @Test(arguments: ["TLSv1.3", "TLSv1.2"])
    func aClientCertificateIsWanted(_ version: String) throws {
        let (redis, url) = try redis(.good, clients: "yes", ["--tls-protocols", version])
        #expect {
            try BlockingConnection(url)
        } throws: {
            "\($0)".contains("asks for a client certificate") && "\($0)".hasSuffix("set tls-auth-clients no there.")
        }
        withExtendedLifetime(redis) {}
    }

    @Test func aPlainRedis() throws {
        let port = try FreePort.take()
        let redis = try RedisServer(["--port", String(port), "--bind", "127.0.0.1"])
        var url = try RedisURL("rediss://127.0.0.1:\(port)")
        url.trust = try TLSContext(authorities: certificates.authority)
        #expect {
            try BlockingConnection(url, timeout: 2000)
        } throws: {
            // Redis waits for the end of a line.
            "\($0)".hasSuffix("does not answer the TLS handshake: is this its tls-port?")
        }
        // And the other way round.
        let (secured, other) = try self.redis(.good)
        guard case .host(let host, let securedPort) = other.place else { return }
        #expect(throws: BlockingConnection.Failure.self) {
            try BlockingConnection(RedisURL(place: .host(host, port: securedPort)), timeout: 2000)
        }
        withExtendedLifetime((redis, secured)) {}
    }
}

/// Sentinels against real ones.
@Suite(.serialized) struct SentinelTests {
    @Test(arguments: [nil, "a password"])
    func leadToThePrimary(_ password: String?) throws {
        let password = password?.replacingOccurrences(of: " ", with: "-")
        let trio = try SentinelTrio(password: password)
        let before = try BlockingConnection(trio.url)
        #expect(try before.ask(Command("ROLE")).array?.first?.text == "master")
        _ = try before.ask(Command("SET", "a", "1"))
        // A write that the replica has not seen may be lost by a failover.
        #expect(try before.ask(Command("WAIT", "1", "5000"), extra: 5000) == .integer(1))
        try trio.failOver()
        let after = try BlockingConnection(trio.url)
        #expect(try after.ask(Command("ROLE")).array?.first?.text == "master")
        #expect(try after.ask(Command("INFO", "server")).text != before.ask(Command("INFO", "server")).text)
        #expect(try after.ask(Command("GET", "a")).text == "1")
    }

    @Test func aNameThatTheyDoNotKnow() throws {
        let trio = try SentinelTrio()
        var url = trio.url
        guard case .sentinels(let addresses, _) = url.place else { return }
        url.place = .sentinels(addresses, name: "another")
        #expect {
            try BlockingConnection(url)
        } throws: {
            "\($0)".contains("knows no primary named another")
        }
        // The first is gone: the next is asked.
        let gone = RedisAddress(host: "127.0.0.1", port: try FreePort.take())
        url.place = .sentinels([gone] + addresses, name: SentinelTrio.name)
        #expect(throws: Never.self) { try BlockingConnection(url) }
        url.place = .sentinels([gone], name: SentinelTrio.name)
        #expect {
            try BlockingConnection(url)
        } throws: {
            "\($0)".hasPrefix("No sentinel of redis+sentinel://127.0.0.1:")
        }
    }

    /// A replica is no Redis to follow, and no sentinel is one.
    @Test func theRoleIsAsked() throws {
        func text(_ text: String) -> RESPValue { .array([.bytes(Array(text.utf8)), .integer(0)]) }
        #expect(LinkMachine.refusal(text("master")) == nil)
        #expect(LinkMachine.refusal(text("slave")) == "This Redis is no primary but a replica.")
        #expect(LinkMachine.refusal(text("sentinel"))?.hasPrefix("This is a sentinel") == true)
        #expect(LinkMachine.refusal(.status(Array("PONG".utf8))) == nil)
    }
}
