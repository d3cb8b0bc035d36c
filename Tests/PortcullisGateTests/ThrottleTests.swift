import Foundation
import PortcullisCore
import PortcullisGate
import TestKit
import Testing

/// The limits by source address, which loopback is exempt from but where it is asked for.
@Suite(.serialized) struct ThrottleTests {
    private static let bad = ["Authorization: Bearer x.y.z"]

    private func gate(_ limits: AddressThrottle.Limits, handshake: Milliseconds = .seconds(5)) throws -> GateUnderTest {
        try GateUnderTest {
            $0.throttle = limits
            $0.handshake = handshake
        }
    }

    private func retryAfter(_ peer: WebSocketPeer) -> Int? {
        let line = peer.head.split(separator: "\r\n").first { $0.hasPrefix("Retry-After: ") }
        return line.flatMap { Int($0.dropFirst("Retry-After: ".count)) }
    }

    @Test func failuresShutAnAddressOutAndHurtNoConnection() throws {
        let test = try gate(.init(failuresPerMinute: 5, throttlesPrivate: true))
        let alice = try test.connect("alice")
        _ = try alice.receive(type: "welcome")
        // Of every kind that counts, over all loops; between them what does not count.
        let failures: [() throws -> WebSocketPeer] = [
            { try WebSocketPeer(test.gate.endpoint, headers: Self.bad) },
            { try WebSocketPeer(test.gate.endpoint) },
            { try WebSocketPeer(test.gate.endpoint, raw: "POST /ws HTTP/1.1\r\nHost: a\r\n\r\n") },
            { try WebSocketPeer(test.gate.endpoint, headers: ["X: " + String(repeating: "x", count: 20_000)]) },
            { try test.connect("alice", path: "/ws/doc:42", raw: true) },
        ]
        for (failure, status) in zip(failures, [401, 401, 400, 431, 403]) {
            #expect(try WebSocketPeer(test.gate.endpoint, path: "/elsewhere").status == 404)
            let evil = ["Cookie: session_id=x", "Origin: http://evil.example"]
            #expect(try WebSocketPeer(test.gate.endpoint, headers: evil).status == 403)
            #expect(try failure().status == status)
        }
        // Now all is refused, whatever it carries.
        for peer in try failures.map({ try $0() }) + [try test.connect("bob", raw: true)] {
            #expect(peer.status == 429)
            #expect(peer.body.contains(#""code":"rate_limited""#))
            #expect(try (1...61).contains(#require(retryAfter(peer))))
        }
        // A page is told by the close code, and when to come back.
        let page = try WebSocketPeer(
            test.gate.endpoint,
            headers: ["Origin: http://\(test.gate.endpoint)", "Sec-WebSocket-Protocol: portcullis.v1"]
        )
        #expect(page.status == 101)
        let closing = try page.receive(type: "closing")
        #expect(closing["code"] as? Int == 4429)
        #expect(try (1...61_000).contains(#require(closing["retry_after_ms"] as? Int)))
        // Who is in stays in.
        try test.publish(#"{"v":1,"type":"notify","select":{"user":"alice"},"data":{"still":"here"}}"#)
        #expect(try alice.receive(type: "notice")["data"] as? [String: String] == ["still": "here"])
    }

    @Test func aHeadThatDoesNotComeIsAFailure() throws {
        let test = try gate(.init(failuresPerMinute: 1, throttlesPrivate: true), handshake: Milliseconds(200))
        #expect(try WebSocketPeer(test.gate.endpoint, raw: "GET /ws HT").status == 408)
        #expect(try test.connect("alice").status == 429)
    }

    @Test func handshakesASecond() throws {
        let test = try gate(.init(handshakesPerSecond: 3, throttlesPrivate: true))
        var statuses: [Int] = []
        var peers: [WebSocketPeer] = []
        for _ in 0..<40 where !statuses.contains(429) {
            let peer = try test.connect("alice", raw: true)
            statuses.append(peer.status)
            peers.append(peer)
        }
        #expect(statuses.prefix(3) == [101, 101, 101])
        #expect(statuses.last == 429)
        #expect(try (1...2).contains(#require(peers.last.flatMap(retryAfter))))
        try test.wait("the second is over") { try test.connect("alice", raw: true).status == 101 }
    }

    @Test func connectionsOfAnAddress() throws {
        let test = try gate(.init(connections: 2, throttlesPrivate: true))
        let first = try test.connect("alice")
        let second = try test.connect("bob")
        #expect(first.status == 101 && second.status == 101)
        let third = try test.connect("carol", raw: true)
        #expect(third.status == 429)
        #expect(third.body.contains(#""code":"too_many_connections""#))
        // A place is free when a connection ends, and when a handshake fails.
        try first.close(code: 1000)
        _ = try first.receiveClose()
        try test.wait("there is a place") {
            let peer = try WebSocketPeer(test.gate.endpoint, headers: Self.bad)
            return peer.status == 401
        }
        try test.wait("there is a place again") { try test.connect("carol", raw: true).status == 101 }
    }

    @Test func loopbackIsExempt() throws {
        let test = try gate(.init(failuresPerMinute: 1, handshakesPerSecond: 1, connections: 1))
        for _ in 0..<5 { #expect(try WebSocketPeer(test.gate.endpoint, headers: Self.bad).status == 401) }
        let peers = try (0..<5).map { _ in try test.connect("alice") }
        #expect(peers.allSatisfy { $0.status == 101 })
    }
}
