import CLinux
import Foundation
import PortcullisReactor
import PortcullisRedis
import PortcullisTokens
import TestKit
import Testing

/// What `portcullis serve` makes of signals, and what it tells systemd.
@Suite(.serialized, .enabled(if: FileManager.default.isExecutableFile(atPath: GateProcess.program)))
struct ServeSignalsTests {
    private static let secret = Array("a secret that is long enough for HS256, really".utf8)
    let redis: RedisServer

    init() throws {
        redis = try RedisServer()
    }

    private func gate(_ settings: String = "", environment: [String: String] = [:]) throws -> GateProcess {
        try GateProcess(redis, secret: Self.secret, settings: settings, environment: environment)
    }

    private func connect(
        _ endpoint: Endpoint,
        _ user: String,
        raw: Bool = false,
        secret: [UInt8] = Self.secret,
        securedBy tls: TLSClient? = nil
    ) throws -> WebSocketPeer {
        let signer = try TokenSigner(SigningKey(secret: secret.span, algorithm: .hs256, source: "the test"))
        let now = Int(Date().timeIntervalSince1970)
        let token = try signer.sign([
            (name: "sub", json: Array("\"\(user)\"".utf8)), (name: "exp", json: Array("\(now + 600)".utf8)),
        ])
        let headers = ["Authorization: Bearer \(String(decoding: token, as: UTF8.self))"]
        return try WebSocketPeer(
            endpoint,
            headers: raw ? headers : headers + ["Sec-WebSocket-Protocol: portcullis.v1"],
            securedBy: tls
        )
    }

    private func notify(_ user: String) throws {
        try redis.ask("PUBLISH", "portcullis:events", #"{"v":1,"type":"notify","select":{"user":"\#(user)"},"data":7}"#)
    }

    // MARK: - SIGHUP

    @Test func reloads() throws {
        let gate = try gate("relay: echo\nlimits: {message: 1KiB}\n")
        let endpoint = try gate.endpoint()
        let alice = try connect(endpoint, "alice", raw: true)
        let text = String(repeating: "x", count: 100)
        try alice.send(text: text)
        #expect(try alice.receive() == .text(text))

        let (other, stays) = (
            Array("another secret of at least 32 bytes, for certain".utf8), "guarantee: {lease: 4s}\n"
        )
        try Data(other).write(to: URL(filePath: gate.key))
        try gate.configure("relay: echo\nlimits: {message: 64}\nlog: {level: debug}\n" + stays)
        gate.signal(SIGHUP)
        try gate.wait(for: "the configuration is reloaded")
        #expect(gate.said.contains(#"changed="limits.message, log.level""#))
        #expect(gate.said.contains("settings=guarantee.lease"))
        // Who is there stays, under the new limits.
        try notify("alice")
        #expect(try alice.receive() == .text("7"))
        try alice.send(text: text)
        #expect(try alice.receiveClose() == .close(1009, "message_too_big"))
        #expect(try connect(endpoint, "alice").status == 401)
        #expect(try connect(endpoint, "bob", secret: other).status == 101)
        try gate.wait(for: "admitted")

        // Nothing of a bad file is taken.
        let bob = try connect(endpoint, "bob", raw: true, secret: other)
        try gate.configure("relay: echo\nlimits: {message: 1MiB, hartbeat: 1s}\n")
        gate.signal(SIGHUP)
        try gate.wait(for: "the configuration is not reloaded, and nothing has changed")
        #expect(gate.said.contains("did you mean limits.heartbeat?"))
        try bob.send(text: text)
        #expect(try bob.receiveClose() == .close(1009, "message_too_big"))
        #expect(try connect(endpoint, "bob", secret: other).status == 101)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: gate.key)
        try gate.configure("limits: {message: 1MiB}\n")
        gate.signal(SIGHUP)
        try gate.wait(for: "nothing has changed", times: 2)
        #expect(gate.said.contains("can be read by others"))
        gate.signal(SIGTERM)
        #expect(gate.exitCode() == 0)
    }

    @Test func reloadsTheCertificate() throws {
        let certificates = try Certificates()
        let files = certificates.folder
        func put(_ server: Certificates.Server) throws {
            _ = try Shell.run("cd \(files.path) && cp \(server.rawValue).pem a.pem && cp \(server.rawValue).key a.key")
        }
        try put(.good)
        let gate = try gate(
            "tls: {certificates: {a: {certificate: \(files.path)/a.pem, key: \(files.path)/a.key}}}\n"
        )
        let endpoint = try gate.endpoint()
        let alice = try connect(endpoint, "alice", raw: true, securedBy: try certificates.client())
        try put(.expired)
        gate.signal(SIGHUP)
        try gate.wait(for: "nothing has changed")
        #expect(gate.said.contains("a.pem can't be used: it has expired"))
        #expect(try connect(endpoint, "alice", securedBy: try certificates.client()).status == 101)
        try put(.elsewhere)
        gate.signal(SIGHUP)
        try gate.wait(for: "the configuration is reloaded")
        #expect(try connect(endpoint, "bob", securedBy: try certificates.client("elsewhere.test")).status == 101)
        try notify("alice")
        #expect(try alice.receive() == .text("7"))
        gate.signal(SIGTERM)
        #expect(try alice.receive() == .close(1001, "shutting_down"))
        #expect(try alice.receive() == .end)
        #expect(gate.exitCode() == 0)
    }

    // MARK: - SIGTERM

    @Test(arguments: [SIGTERM, SIGINT]) func drains(_ number: Int32) throws {
        let gate = try gate("drain: {deadline: 5s, retry_after: 10s}\nnode: g1\n")
        let endpoint = try gate.endpoint()
        try gate.wait(for: "admin API is listening")
        let port = try #require(gate.said.firstMatch(of: /admin API is listening.*?127\.0\.0\.1:(\d+)/)?.1)
        func ready() throws -> Int {
            let endpoint = Endpoint.tcp(address: "127.0.0.1", port: try #require(UInt16(port)))
            return try WebSocketPeer(endpoint, raw: "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .status
        }
        // It is told a moment after it is.
        for _ in 0..<2000 where try ready() != 200 { Thread.sleep(forTimeInterval: 0.01) }
        #expect(try ready() == 200)
        let peers = try (0..<20).map { try connect(endpoint, "user-\($0)") }
        for peer in peers { _ = try peer.receive(type: "welcome") }
        gate.signal(number)
        try gate.wait(for: "draining")
        var retries: Set<Int> = []
        for peer in peers {
            let closing = try peer.receive(type: "closing")
            #expect(closing["code"] as? Int == 1001)
            #expect(closing["reason"] as? String == "shutting_down")
            #expect(closing["reconnect"] as? String == "later")
            let retry = try #require(closing["retry_after_ms"] as? Int)
            #expect((5000...15_000).contains(retry))
            retries.insert(retry)
            #expect(try peer.receive() == .close(1001, "shutting_down"))
        }
        #expect(retries.count > 1)
        // They have not ended their streams, so the gate still waits for them.
        #expect(try ready() == 503)
        let refused = try connect(endpoint, "late", raw: true)
        #expect(refused.status == 503)
        #expect(refused.body.contains(#""code":"draining""#))
        #expect(gate.exitCode() == 0)
        #expect(try redis.ask("ZCARD", "portcullis:nodes") == .integer(0))
    }

    @Test func aSecondSignalEndsAtOnce() throws {
        let gate = try gate("drain: {deadline: 1h}\n")
        let endpoint = try gate.endpoint()
        let peers = try (0..<3).map { try connect(endpoint, "user-\($0)") }
        gate.signal(SIGTERM)
        try gate.wait(for: "draining")
        gate.signal(SIGINT)
        #expect(gate.exitCode() == 130)
        withExtendedLifetime(peers) {}
    }

    // MARK: - systemd

    @Test(arguments: [true, false]) func tellsSystemd(isAbstract: Bool) throws {
        let path = redis.directory.path + "/notify"
        let ear = try NotifySocket(isAbstract ? "@" + path : path)
        let gate = try gate(environment: ["NOTIFY_SOCKET": ear.name, "WATCHDOG_USEC": "400000"])
        _ = try gate.endpoint()
        try ear.wait { $0.contains("READY=1") }
        try ear.wait { $0.contains { $0.hasPrefix("STATUS=Admitting") } }
        try ear.wait { $0.count { $0 == "WATCHDOG=1" } >= 3 }
        let before = ear.heard.count
        gate.signal(SIGHUP)
        try ear.wait { $0.dropFirst(before).contains("READY=1") }
        let said = ear.heard.dropFirst(before).filter { !$0.hasPrefix("WATCHDOG") && !$0.hasPrefix("STATUS") }
        #expect(said.first == "RELOADING=1")
        let time = try #require(said.dropFirst().first?.wholeMatch(of: /MONOTONIC_USEC=(\d+)/)?.1)
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        #expect((Int(time) ?? 0) / 1_000_000 <= now.tv_sec)
        #expect((Int(time) ?? 0) / 1_000_000 > now.tv_sec - 60)
        gate.signal(SIGTERM)
        try ear.wait { $0.contains("STOPPING=1") }
        #expect(gate.exitCode() == 0)
    }
}

/// The socket of a service manager, read from a test.
private final class NotifySocket {
    let name: String
    private let descriptor: Int32
    private(set) var heard: [String] = []

    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if name.hasPrefix("@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count + (name.hasPrefix("@") ? 0 : 1))
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard bound == 0 else { throw SocketError("bind \(name)", errno: errno) }
        var limit = timeval(tv_sec: 0, tv_usec: 100_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        close(descriptor)
    }

    /// Listens until enough has been heard.
    func wait(_ isEnough: ([String]) -> Bool) throws {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<300 {
            if isEnough(heard) { return }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { continue }
            heard += String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
        }
        throw World.Vain(description: "heard only \(heard)")
    }
}
