import Foundation
import PortcullisCore
import PortcullisReactor
import TestKit
import Testing

@testable import PortcullisGate

/// A listener that speaks TLS.
@Suite(.serialized) struct TLSListenerTests {
    let certificates: Certificates

    init() throws {
        certificates = try Certificates()
    }

    private func gate(
        minimum: TLSVersion = .v12,
        _ change: @escaping (inout GateConfiguration) -> Void = { _ in }
    ) throws -> GateUnderTest {
        let context = try certificates.server(minimum: minimum)
        return try GateUnderTest {
            $0.tls = context
            $0.throttle.throttlesPrivate = true
            change(&$0)
        }
    }

    private func connect(
        _ test: GateUnderTest,
        _ user: String,
        _ name: String = "redis.test",
        raw: Bool = false,
        token: String? = nil
    ) throws -> WebSocketPeer {
        var headers = ["Authorization: Bearer \(try token ?? test.token(user))"]
        if !raw { headers.append("Sec-WebSocket-Protocol: portcullis.v1") }
        return try WebSocketPeer(test.gate.endpoint, headers: headers, securedBy: try certificates.client(name))
    }

    private func refusals(_ test: GateUnderTest) -> [Refusal] {
        test.reports.all.compactMap { if case .refused(_, let refusal) = $0 { refusal } else { nil } }
    }

    /// What `openssl s_client` says of a handshake, and of the answer to a request behind it.
    private func client(_ test: GateUnderTest, _ options: String) throws -> String {
        let request = "GET /elsewhere HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
        let verify = "-CAfile \(certificates.authority) -verify_return_error"
        return try Shell.run(
            "printf '\(request)' | timeout 30 openssl s_client -ign_eof -connect \(test.gate.endpoint) \(verify) \(options)"
        ).output
    }

    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func bothVersions(_ option: String, _ name: String) throws {
        let test = try gate()
        let said = try client(test, "\(option) -alpn h2,http/1.1")
        #expect(said.contains("New, \(name)"))
        #expect(said.contains("ALPN protocol: http/1.1"))
        #expect(said.contains("Verify return code: 0 (ok)"))
        #expect(said.contains("HTTP/1.1 404 "))
    }

    @Test func whatIsNotSpoken() throws {
        let test = try gate(minimum: .v13)
        let old = try client(test, "-tls1_2")
        #expect(old.contains("alert protocol version"))
        let other = try client(test, "-alpn h2")
        #expect(other.contains("no application protocol"))
        #expect(try client(test, "").contains("HTTP/1.1 404 "))
        try test.wait("both are reported") {
            refusals(test).count { $0.outcome == .badRequest && $0.detail.contains("TLS") } == 2
        }
    }

    @Test func aRevocationEndsTheStream() throws {
        let test = try gate()
        let token = try test.token("alice")
        let alice = try connect(test, "alice", token: token)
        let (raw, bob) = (try connect(test, "alice", raw: true, token: token), try connect(test, "bob"))
        _ = try alice.receive(type: "welcome")
        _ = try bob.receive(type: "welcome")
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        #expect(try alice.receive(type: "closing")["code"] as? Int == 4410)
        for peer in [alice, raw] {
            #expect(try peer.receive() == .close(4410, "revoked"))
            #expect(try peer.receive() == .end)
        }
        #expect(try connect(test, "alice", raw: true, token: token).status == 401)
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"bob"},"data":7}"#)
        #expect(try bob.receive(type: "notice")["data"] as? Int == 7)
    }

    /// close_notify comes behind the close frame, as another program sees it.
    @Test(arguments: ["-tls1_2", "-tls1_3"]) func aRevocationEndsWithAGoodbye(_ version: String) throws {
        let test = try gate { $0.reportsAdmissions = true }
        let lines =
            ["GET /ws HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            + [
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Authorization: Bearer \(try test.token("alice"))", "",
                "",
            ]
        let log = certificates.folder.appending(path: "s_client").path
        let options = "-ign_eof -msg -connect \(test.gate.endpoint) \(version)"
        let request = lines.joined(separator: "\\r\\n")
        let client = try Shell.Child("printf '\(request)' | timeout 30 openssl s_client \(options) >\(log)")
        try test.wait("it is admitted") {
            test.reports.all.contains { if case .admitted = $0 { true } else { false } }
        }
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        _ = client.end()
        let said = String(decoding: try Data(contentsOf: URL(filePath: log)), as: UTF8.self)
        // Where the stream is cut there is no alert of the peer's.
        let goodbye = try #require(said.ranges(of: /<<< TLS.*Alert.*warning close_notify/).first)
        #expect(said[..<goodbye.lowerBound].contains("revoked"))
    }

    /// A close that must wait until the client reads: the goodbye stands behind the close frame, and nothing of the queue before it.
    @Test func aRevocationOfASlowReader() throws {
        let test = try gate { ($0.sendQueue, $0.closeDeadline) = (64 << 20, .seconds(60)) }
        let slow = try connect(test, "alice", raw: true)
        let text = String(repeating: "x", count: 60_000)
        // More than the sockets hold, less than the send queue.
        let pushed = 300
        for _ in 0..<pushed {
            try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":"\#(text)"}"#)
        }
        try test.publish(#"{"v":1,"type":"revoke","select":{"user":"alice"}}"#)
        try test.wait("the gate has closed it") {
            test.reports.all.contains { if case .decided("revoke", _, 1, 1, _) = $0 { true } else { false } }
        }
        var heard = 0
        while true {
            let next = try slow.receive()
            if next == .close(4410, "revoked") { break }
            heard += 1
        }
        #expect(heard < pushed)
        #expect(try slow.receive() == .end)
    }

    @Test func anotherCertificateWhileConnectionsLive() throws {
        let test = try gate()
        let old = try connect(test, "alice")
        _ = try old.receive(type: "welcome")
        var configuration = test.gate.shared.configuration
        configuration.tls = try certificates.server(.elsewhere)
        test.gate.reload(configuration)
        #expect(throws: SocketError.self) { try connect(test, "alice") }
        let new = try connect(test, "alice", "elsewhere.test")
        _ = try new.receive(type: "welcome")
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":7}"#)
        for peer in [old, new] { #expect(try peer.receive(type: "notice")["data"] as? Int == 7) }
        // A listener never begins or ceases to speak TLS.
        configuration.tls = nil
        test.gate.reload(configuration)
        #expect(try connect(test, "alice", "elsewhere.test").status == 101)
    }

    @Test func plainOnTheTLSPort() throws {
        let test = try gate { $0.throttle.failuresPerMinute = 3 }
        for _ in 0..<3 {
            let plain = try BlockingSocket(test.gate.endpoint, timeout: 10_000)
            try plain.write(Array("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
            // An end, no reset.
            #expect(try plain.read().isEmpty)
        }
        try test.wait("all are reported") { refusals(test).count == 3 }
        #expect(refusals(test).allSatisfy { $0.outcome == .badRequest && $0.detail.contains("no TLS") })
        // They count as failures of their address, for which no more TLS is paid.
        #expect(throws: SocketError.self) { try connect(test, "alice", raw: true) }
        try test.wait("it is reported") { refusals(test).last?.outcome == .rateLimited }
    }

    /// Who is over a limit is turned away before TLS, and who is in TLS counts, though no head has come.
    @Test func theLimitsOfAnAddressAreAskedBeforeTLS() throws {
        let test = try gate { ($0.throttle.connections, $0.handshake) = (2, .seconds(60)) }
        let first = try connect(test, "alice", raw: true)
        try #require(first.status == 101)
        do {
            let silent = try BlockingSocket(test.gate.endpoint, timeout: 10_000, securedBy: try certificates.client())
            // Not even to who speaks no TLS is anything said.
            let third = try BlockingSocket(test.gate.endpoint, timeout: 10_000)
            #expect(try third.read().isEmpty)
            #expect(throws: SocketError.self) { try connect(test, "bob") }
            #expect(refusals(test).map(\.outcome) == [.tooManyConnections, .tooManyConnections])
            try silent.write([0x47])
        }
        try test.wait("there is a place again") { (try? connect(test, "bob", raw: true).status) == 101 }
    }

    /// A handshake is counted once, though it is asked about before TLS and again with its head; failures that came between count.
    @Test func aHandshakeIsCountedOnce() throws {
        let test = try gate {
            $0.throttle.failuresPerMinute = 2
            $0.throttle.connections = 3
        }
        let client = try certificates.client()
        let early = try BlockingSocket(test.gate.endpoint, timeout: 10_000, securedBy: client)
        for _ in 0..<2 {
            let bad = try WebSocketPeer(test.gate.endpoint, headers: ["Authorization: Bearer x.y.z"], securedBy: client)
            #expect(bad.status == 401)
        }
        try early.write(Array("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        #expect(String(decoding: try early.read(), as: UTF8.self).hasPrefix("HTTP/1.1 429"))
    }

    /// A session is resumed by a ticket, on whichever loop; with another certificate none is.
    @Test(arguments: ["-tls1_2", "-tls1_3"]) func sessionsAreResumed(_ version: String) throws {
        let test = try gate()
        let file = certificates.folder.appending(path: "session").path
        #expect(try client(test, "\(version) -sess_out \(file)").contains("New, TLS"))
        for _ in 0..<4 { #expect(try client(test, "\(version) -sess_in \(file)").contains("Reused, TLS")) }
        var configuration = test.gate.shared.configuration
        configuration.tls = try certificates.server()
        test.gate.reload(configuration)
        #expect(try client(test, "\(version) -sess_in \(file)").contains("New, TLS"))
    }

    @Test func tlsOnThePlainPort() throws {
        let test = try GateUnderTest()
        #expect {
            try connect(test, "alice")
        } throws: {
            ($0 as? SocketError)?.security?.kind == .notTLS
        }
        try test.wait("it is reported") { refusals(test).map(\.outcome) == [.badRequest] }
        #expect(try test.connect("alice").status == 101)
    }

    /// Who says nothing, or half of a handshake, is cut off when its time is over; who only looks whether there is anybody is no failure.
    @Test func halfOpenHandshakes() throws {
        let test = try gate { $0.handshake = .seconds(2) }
        let peers = try [[], [0x16, 3, 1, 2, 0, 1]].map { (bytes: [UInt8]) in
            let peer = try BlockingSocket(test.gate.endpoint, timeout: 10_000)
            try peer.write(bytes)
            return peer
        }
        for peer in peers { #expect(try peer.read().isEmpty) }
        #expect(refusals(test).map(\.outcome) == [.handshakeTimeout, .handshakeTimeout])
        // TLS stands, the head does not come: the deadline is one for both, and the answer a status.
        let secured = try BlockingSocket(test.gate.endpoint, timeout: 10_000, securedBy: try certificates.client())
        try secured.write(Array("GET /ws".utf8))
        #expect(String(decoding: try secured.read(), as: UTF8.self).hasPrefix("HTTP/1.1 408"))
        #expect(try secured.read().isEmpty)
        do { _ = try BlockingSocket(test.gate.endpoint, timeout: 10_000) }
        try test.wait("all are gone") { test.gate.status.connections == 0 }
        #expect(refusals(test).count == 3)
    }

    @Test func theOwnOriginIsSecure() throws {
        let test = try gate()
        try test.redis.ask("SET", "session:s1", #"{"user_id":"alice"}"#, "EX", "60")
        for (scheme, status) in [("https", 101), ("http", 403)] {
            let peer = try WebSocketPeer(
                test.gate.endpoint,
                headers: ["Cookie: session_id=s1", "Origin: \(scheme)://\(test.gate.endpoint)"],
                securedBy: try certificates.client()
            )
            #expect(peer.status == status)
        }
    }

    @Test func nothingPassesInAFreeze() throws {
        let test = try gate {
            $0.lease = .seconds(3)
            $0.relay = .echo
        }
        let alice = try connect(test, "alice", raw: true)
        try alice.send(text: "before")
        #expect(try alice.receive() == .text("before"))
        try test.redis.pause()
        try test.wait("the gate is frozen") { test.gate.status.staleness ?? Milliseconds(0) > Milliseconds(4500) }
        for index in 0..<50 { try alice.send(text: "\(index) " + String(repeating: "x", count: 5000)) }
        try test.wait("the freeze lasts") { test.gate.status.staleness ?? Milliseconds(0) > Milliseconds(6000) }
        #expect(throws: SocketError.self) { try alice.receive(within: 100) }
        test.redis.resume()
        try test.awaitReady()
        for index in 0..<50 {
            guard case .text(let text) = try alice.receive() else { break }
            #expect(text.hasPrefix("\(index) ") && text.count > 5000)
        }
    }
}
